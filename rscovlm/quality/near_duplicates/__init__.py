"""Pictures that show part of the same ground: equal points, how two pictures lie on each other, pairs of crops."""

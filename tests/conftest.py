"""What all tests share: examples are drawn with no limit on the time of each, which would measure the machine."""

from hypothesis import settings

settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

"""Fine-tune a Qwen-VL model by a recipe, on one process or many:

    accelerate launch examples/sft.py --recipe examples/recipes/rscovlm-7b.yaml --root data --output runs/rscovlm-7b

`rscovlm train RECIPE` does the same. The trainer is TRL's, which here also tells the tasks apart.
"""

import argparse
import logging

import rscovlm  # noqa: F401  registers the processor
from rscovlm.training import TrainingRecipe, prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True, help="YAML file")
    parser.add_argument("--root", default="data", help="folder that the recipe's records are in")
    parser.add_argument("--output", default="runs/sft", help="where checkpoints go")
    parser.add_argument("--resume", action="store_true", help="resume from the last checkpoint")
    parser.add_argument("--dry-run", action="store_true", help="check everything, train nothing")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        recipe = TrainingRecipe.load(options.recipe)
        run = prepare(recipe, root=options.root, output=options.output, resume=options.resume)
    except (ValueError, OSError) as error:
        parser.exit(2, f"sft.py: {error}\n")  # what is wrong, its value, and what to do
    if not options.dry_run:
        run.train()


if __name__ == "__main__":
    main()

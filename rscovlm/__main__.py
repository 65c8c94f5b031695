"""``python -m rscovlm``, the same as the ``rscovlm`` command."""

from rscovlm.cli import app

if __name__ == "__main__":
    app()

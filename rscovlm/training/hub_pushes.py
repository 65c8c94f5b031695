"""What a trainer pushes to the Hub: the same files and the same card as `rscovlm push model`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from rscovlm.hub.faults import hub_faults
from rscovlm.hub.models import push_model
from rscovlm.hub.uploads import HubUpload

logger = logging.getLogger(__name__)

WITH_STATES = ("checkpoint", "all_checkpoints")
"""Values of `hub_strategy` that would push the optimiser's state, which is a pickle."""


class HubPushes:
    """Puts `push_model` in the place of the trainer's own pushes.

    Those upload whatever lies in the output folder, pickles with the token of the run included, in several commits.
    """

    args: Any
    state: Any
    control: Any
    callback_handler: Any
    hub_model_id: Any

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository, private unless `hub_private_repo` is false.

        Args:
            token: By default `hub_token`, or the stored one.
            private: By default what `hub_private_repo` says.

        Raises:
            ValueError: `hub_strategy` would push pickles.
            ConnectionError: The Hub failed.
        """
        strategy = str(getattr(self.args.hub_strategy, "value", self.args.hub_strategy))
        if strategy in WITH_STATES:
            raise ValueError(
                f"hub_strategy is {strategy!r}, which would push the optimiser's pickles; give end or every_save"
            )
        if private is None:
            private = self.args.hub_private_repo is not False
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        with hub_faults("making", name, token or self.args.hub_token):
            super().init_hf_repo(token, private)  # type: ignore[misc]

    def push_to_hub(
        self,
        commit_message: str | None = None,
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **_: Any,
    ) -> HubUpload | None:
        """Save the model, and push it with its card as one commit; see `push_model`.

        Args:
            commit_message: The commit's.
            blocking: Taken as true: a push that fails is known here.
            token: By default `hub_token`, or the stored one.
            revision: Branch; by default `hub_revision`.
            private: Whether a new repository is private.

        Returns:
            What was sent; None on processes that send nothing.

        Raises:
            ValueError: The folder holds no whole checkpoint, or a token.
            PermissionError: The token may not write there.
            ConnectionError: The Hub failed; nothing was committed, and `rscovlm push model` resumes.
        """
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self.save_model(_internal_call=True)  # type: ignore[attr-defined]
        return self.publish(self.args.output_dir, commit_message, token=token, revision=revision)

    def publish(
        self,
        folder: str | Path,
        message: str | None = None,
        *,
        token: str | None = None,
        revision: str | None = None,
    ) -> HubUpload | None:
        """Push what was saved in a folder.

        Args:
            folder: The run's folder, or a checkpoint.
            message: The commit's.
            token: By default `hub_token`, or the stored one.
            revision: Branch; by default `hub_revision`.

        Returns:
            What was sent; None on processes that send nothing.

        Raises:
            ValueError: See `push_to_hub`.
            PermissionError: See `push_to_hub`.
            ConnectionError: See `push_to_hub`.
        """
        if not self.is_world_process_zero():  # type: ignore[attr-defined]
            return None
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        upload = push_model(
            folder,
            self.hub_model_id,
            message=message or "End of training",
            private=self.args.hub_private_repo is not False,
            revision=revision or self.args.hub_revision,
            token=token or self.args.hub_token,
        )
        logger.info("pushed: %s", upload.address)
        return upload

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Push a checkpoint's model while training; a push that fails is logged, and training continues."""
        if str(getattr(self.args.hub_strategy, "value", self.args.hub_strategy)) == "end":
            return
        try:
            self.publish(checkpoint_folder, f"Training in progress, step {self.state.global_step}")
        except (OSError, ValueError) as error:
            logger.warning("step %d was not pushed: %s", self.state.global_step, error)

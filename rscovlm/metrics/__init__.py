"""Metrics of the field as plain functions of arrays and strings; numpy and shapely only."""

from rscovlm.metrics.answers import answer_accuracy, rsvqa_accuracy
from rscovlm.metrics.ap_nc import ap_nc
from rscovlm.metrics.ap_nc_bootstrap import bootstrap_ap_nc
from rscovlm.metrics.bootstrap import bootstrap, paired_test
from rscovlm.metrics.calibration import calibrate_threshold
from rscovlm.metrics.counting import count_error
from rscovlm.metrics.grounding import grounding_accuracy, rescaled, rscovlm_answer
from rscovlm.metrics.lrs_vqa import lrs_vqa_aa
from rscovlm.metrics.picture import match_boxes, matches_svg
from rscovlm.metrics.scene import multi_label_f1, scene_accuracy
from rscovlm.metrics.task1 import read_task1, write_task1
from rscovlm.metrics.tiles import merge_tiles

__all__ = [
    "answer_accuracy",
    "ap_nc",
    "bootstrap",
    "bootstrap_ap_nc",
    "calibrate_threshold",
    "count_error",
    "grounding_accuracy",
    "lrs_vqa_aa",
    "match_boxes",
    "matches_svg",
    "merge_tiles",
    "multi_label_f1",
    "paired_test",
    "read_task1",
    "rescaled",
    "rscovlm_answer",
    "rsvqa_accuracy",
    "scene_accuracy",
    "write_task1",
]

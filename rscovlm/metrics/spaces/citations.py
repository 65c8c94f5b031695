"""Papers that the cards of several metrics cite, as BibTeX."""

LMMROTATE = """\
@article{li2025lmmrotate,
  title = {A Simple Aerial Detection Baseline of Multimodal Language Models},
  author = {Li, Qingyun and Chen, Yushi and Shu, Xinya and Chen, Dong and He, Xin and Yu, Yi and Yang, Xue},
  journal = {arXiv preprint arXiv:2501.09720},
  year = {2025},
}
"""
RSCOVLM = """\
@article{li2025rscovlm,
  title = {Co-Training Vision Language Models for Remote Sensing Multi-task Learning},
  author = {Li, Qingyun and Ma, Shuran and Luo, Junwei and Yu, Yi and Zhou, Yue and Wang, Fengxiang and Lu, Xudong and
            Wang, Xiaoxing and He, Xin and Chen, Yushi and Yang, Xue and Yan, Junchi},
  journal = {arXiv preprint arXiv:2511.21272},
  year = {2025},
}
"""

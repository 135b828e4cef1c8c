# For pre-trainings: of millions of pictures some may be broken. Supervised tasks stop at one.
_base_ = ['./default.py']
default_hooks = dict(
    unreadable=dict(type='symmim_mm.UnreadableImagesHook', most_share=0.01, least_seen=500),
)

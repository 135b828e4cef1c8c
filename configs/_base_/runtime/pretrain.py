# For pre-trainings: of millions of images some may be broken. Supervised tasks stop at one.
_base_ = ['./default.py']
default_hooks = dict(
    health=dict(type='symmim_mm.HealthHook', images=128, share=0.01),
    unreadable=dict(type='symmim_mm.UnreadableImagesHook', most_share=0.01, least_seen=500),
)

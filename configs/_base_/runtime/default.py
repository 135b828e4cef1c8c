# What every run shares.
default_hooks = dict(
    runtime_info=dict(type='symmim_mm.AsyncRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='symmim_mm.SafeLoggerHook', interval=50),
    throughput=dict(type='symmim_mm.ThroughputHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='symmim_mm.SafeCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=None,  # the loops of symmim_mm.engine.runner.loops do it
    # What lets a run survive a cluster; see docs/reliability.md.
    exact_resume=dict(type='symmim_mm.ExactResumeHook'),
    preemption=dict(type='symmim_mm.PreemptionHook', signals=['SIGTERM', 'SIGUSR1']),
    not_finite=dict(type='symmim_mm.NotFiniteHook', most_in_a_row=20),
    loader=dict(type='symmim_mm.LoaderTimeoutHook', timeout=600),  # seconds
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(by_epoch=True)
randomness = dict(seed=0)

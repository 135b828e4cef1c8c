# The class token as the feature, as in MAE; dense SymMIM and SimMIM do not train it.
_base_ = ['./vit_l_linear_imagenet.py']
model = dict(neck=dict(pooling='cls_token'))

"""``model-index.yml`` from records, read by the libraries that such files are for."""

from pathlib import Path

import pytest
from make_runs import data, record, write
from modelindex.load_model_index import load
from paths import ROOT

from symmim_mm.results.collect import collect
from symmim_mm.utils.errors import UserError


def suite(folder: Path) -> Path:
    config = 'configs/quickstart/mae_pretrain.py'
    write(folder, record('mae', 'pretrain', config=config, images=16_000))
    write(folder, record('mae', 'detection', config='configs/quickstart/mask_rcnn.py'))
    small = dict(dataset='imagenet-1k', data=data(300, 50, 10))
    write(folder, record('mae', 'knn', checkpoint=None, checkpoint_sha256=None, **small))
    return folder


@pytest.mark.parametrize('url', ['', 'https://example.org/weights/'])
def test_the_libraries_read_it(tmp_path: Path, url: str) -> None:
    out = tmp_path / 'out'
    collect([suite(tmp_path / 'runs')], out, model_index=url)
    index = load(str(out / 'model-index.yml'))
    assert not index.check(silent=False)
    index.build_models_with_collections()
    detector, pretrained = index.models
    assert pretrained.name == 'mae-pretrain-seed0'
    assert pretrained.weights == f'{url or tmp_path / "runs/"}'.rstrip('/') + (
        '/mae-pretrain-seed0/last.pth'
    )
    assert pretrained.metadata.training_data == 'sample'
    assert pretrained.metadata.training_resources == '1 x a cpu'
    assert pretrained.data['Downstream'] == ['mae-detection-seed0']
    frozen = pretrained.results[0]  # of the k-NN, which has no weights of its own
    assert frozen.dataset == 'imagenet-1k-like: 300 + 50 images, 10 classes'
    assert (frozen.task, frozen.metrics) == ('Image Classification (knn)', {'Top 1 Accuracy': 60.0})
    assert detector.results[0].metrics == {'box AP': 20.0, 'mask AP': 15.0}

    from mmpretrain.apis.model import ModelHub

    ModelHub.register_model_index(out / 'model-index.yml', config_prefix=ROOT)
    found = ModelHub.get('mae-pretrain-seed0')
    assert found.config.model.type == 'mmpretrain.MAE'
    for model in index.models:  # the hub is of the whole process
        del ModelHub._models_dict[model.name]


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(suite(tmp_path) / 'mae-pretrain-seed0')
    collect(['.'], 'out', model_index='https://example.org')
    assert 'https://example.org/mae-pretrain-seed0/last.pth' in Path('out/metafile.yml').read_text()


def test_two_runs_of_one_name(tmp_path: Path) -> None:
    runs = [suite(tmp_path / name) for name in ('one', 'two')]
    with pytest.raises(UserError, match='mae-detection-seed0, mae-pretrain-seed0: two runs'):
        collect(runs, tmp_path / 'out', model_index='')

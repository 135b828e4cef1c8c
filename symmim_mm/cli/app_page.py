"""The page of `symmim app`, in Gradio. It parses and shows; `apis/explore.py` computes."""

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from symmim_mm.apis.explore import AS_TRAINED, BY_HAND, CHECKERBOARD, RANDOM, Explorer
from symmim_mm.utils.errors import UserError

# What a browser may load for the page. Gradio's own asks for scripts and fonts of other hosts.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'none'"
)
# Without Gradio's button that shares an image on another host.
IMAGE_OPTIONS: dict[str, Any] = dict(format='png', buttons=['download', 'fullscreen'])
PANELS = ('Input', 'Masked input', 'Reconstruction', 'Error')
Image = np.ndarray | None  # RGB uint8 (H, W, 3); None where none is chosen


class PolicyMiddleware:
    """Middleware that adds ``POLICY`` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_policy(message: Message) -> None:
            if message['type'] == 'http.response.start':
                policy = (b'content-security-policy', POLICY.encode())
                message['headers'] = [*message.get('headers', []), policy]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def serve(page: gr.Blocks, port: int | None) -> None:
    """Serve a page to this machine until it is interrupted.

    Args:
        page: what to serve.
        port: the first free one from 7860 by default.

    Raises:
        UserError: the port is taken.
    """
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=['127.0.0.1', 'localhost']),
        Middleware(PolicyMiddleware),
    ]
    theme = gr.themes.Default(
        primary_hue='indigo', font=['system-ui', 'sans-serif'],
        font_mono=['ui-monospace', 'monospace'],
    )  # fmt: skip
    try:
        page.launch(
            server_name='127.0.0.1', server_port=port, share=False, ssr_mode=False, theme=theme,
            footer_links=[], app_kwargs=dict(middleware=middleware),
        )  # fmt: skip
    except OSError as error:
        raise UserError(f'the page cannot be served: {error}') from error


def build_page(explorer: Explorer) -> gr.Blocks:
    """Build the page of a model."""

    def choose(event: gr.SelectData) -> np.ndarray:
        return explorer.held_out[event.index]

    with gr.Blocks(
        title=f'symmim app: {explorer.name}', analytics_enabled=False, fill_width=True
    ) as page:
        gr.Markdown(f'## {explorer.name}')
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                image = gr.Image(
                    label='Image: choose below, or drop one', height=280, buttons=[],
                    sources=['upload', 'clipboard'], elem_id='image',
                )  # fmt: skip
                if explorer.held_out:
                    gallery = gr.Gallery(
                        explorer.held_out, label='Held out by the run', columns=2,
                        allow_preview=False, **IMAGE_OPTIONS, elem_id='held-out',
                    )  # fmt: skip
                    gallery.select(choose, None, image)
                else:
                    gr.Markdown('The run held out no images, or they are no longer there.')
            with gr.Column(scale=3, min_width=320), gr.Tabs():
                with gr.Tab('Reconstruction'):
                    _add_reconstruction(explorer, image)
                with gr.Tab('Similarity'):
                    _add_similarity(explorer, image)
                with gr.Tab('Attention'):
                    _add_attention(explorer, image)
                with gr.Tab('Neighbors'):
                    _add_neighbors(explorer, image)
                if explorer.predictor is not None:
                    with gr.Tab('Prediction'):
                        _add_prediction(explorer, image)
    return page


def _add_reconstruction(explorer: Explorer, image: gr.Image) -> None:
    if not explorer.reconstructs:
        gr.Markdown('This run reconstructs nothing: it was trained without a pixel head.')
        return
    with gr.Row():
        kind = gr.Radio([AS_TRAINED, CHECKERBOARD, RANDOM, BY_HAND], value=AS_TRAINED, label='Mask')
        block = gr.Slider(1, max(1, explorer.grid[0] // 2), 1, step=1, label='Checkerboard: block')
        ratio = gr.Slider(0.05, 0.95, 0.75, step=0.05, label='Random: share masked')
        again = gr.Button('Another mask', min_width=120)
    seed = gr.State(0)
    paint = gr.ImageEditor(
        label='Paint over what is to be masked', type='numpy', sources=[], transforms=[],
        layers=gr.LayerOptions(allow_additional_layers=False), visible=False, elem_id='paint',
        brush=gr.Brush(default_size=24, colors=['#6b7280']), buttons=[],
    )  # fmt: skip
    with gr.Row():
        panels = [gr.Image(label=name, interactive=False, **IMAGE_OPTIONS) for name in PANELS]
    figures = gr.Markdown(elem_id='figures')

    def reconstruct(
        image: Image, kind: str, block: int, ratio: float, seed: int, painted: dict | None
    ) -> list:
        if image is None:
            return [None] * 4 + ['']
        if kind == BY_HAND:
            layers = [layer[..., 3] for layer in (painted or {}).get('layers') or ()]
            blank = np.zeros(explorer.shown(image).shape[:2], np.uint8)
            mask = explorer.painted_mask(np.maximum.reduce(layers) if layers else blank)
        else:
            mask = _report(explorer.draw_mask, kind, block=int(block), ratio=ratio, seed=seed)
        drawn, error = explorer.reconstruct(image, mask)
        hidden = f'{int(mask.sum())} of {mask.numel()} patches masked'
        return [*drawn, f'{hidden}; mean error of their pixels {error:.1f} of 255']

    def open_editor(image: Image, kind: str) -> Any:
        shown = None if image is None or kind != BY_HAND else explorer.shown(image)
        size = (shown.shape[1], shown.shape[0]) if shown is not None else (224, 224)
        return gr.update(visible=kind == BY_HAND, value=shown, canvas_size=size)

    inputs, outputs = [image, kind, block, ratio, seed, paint], [*panels, figures]
    again.click(lambda seed: seed + 1, seed, seed).then(reconstruct, inputs, outputs)
    gr.on([image.change, kind.change], open_editor, [image, kind], paint).then(
        reconstruct, inputs, outputs
    )
    gr.on([block.release, ratio.release, paint.input], reconstruct, inputs, outputs)


def _add_similarity(explorer: Explorer, image: gr.Image) -> None:
    gr.Markdown('Click on the left: how similar the features of all patches are to those there.')
    with gr.Row():
        shown = gr.Image(label='Image', interactive=False, **IMAGE_OPTIONS, elem_id='similar-to')
        found = gr.Image(
            label='Similarity', interactive=False, **IMAGE_OPTIONS, elem_id='similarity'
        )

    def compare(image: Image, event: gr.SelectData) -> Image:
        if image is None:
            return None
        height, width = explorer.shown(image).shape[:2]
        return explorer.similarity(image, event.index[0] / width, event.index[1] / height)

    def start(image: Image) -> tuple[Image, Image]:
        if image is None:
            return None, None
        return explorer.shown(image), explorer.similarity(image, 0.5, 0.5)

    image.change(start, image, [shown, found])
    shown.select(compare, image, found)


def _add_attention(explorer: Explorer, image: gr.Image) -> None:
    if not explorer.attends:
        gr.Markdown(
            'No loss trains the class token of this model, so that its attention shows nothing: '
            'look at the similarity.'
        )
        return
    gr.Markdown('Attention of the class token in the last block, one map for each head.')
    maps = gr.Gallery(columns=4, **IMAGE_OPTIONS, show_label=False, elem_id='attention')
    image.change(lambda image: [] if image is None else explorer.attention(image), image, maps)


def _add_neighbors(explorer: Explorer, image: gr.Image) -> None:
    source = explorer.folder or 'the images of the run'
    build = gr.Button(f'Embed {source}', variant='primary')
    nearest = gr.Gallery(
        label='Nearest by cosine', columns=6, **IMAGE_OPTIONS, elem_id='nearest'
    )  # fmt: skip

    def find(image: Image) -> list:
        if image is None or explorer.index is None:
            return []
        return [(found, f'{cosine:.3f}') for found, cosine in explorer.neighbors(image)]

    def embed(progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008  Gradio looks for it
        count = _report(explorer.build_index, progress)
        return gr.update(value=f'{count} images embedded: do it anew', variant='secondary')

    build.click(embed, None, build).then(find, image, nearest)
    image.change(find, image, nearest)


def _add_prediction(explorer: Explorer, image: gr.Image) -> None:
    assert explorer.predictor is not None
    gr.Markdown(f'By {explorer.predictor.checkpoint.parent.name} ({explorer.predictor.task}).')
    with gr.Row():
        drawing = gr.Image(label='Prediction', interactive=False, **IMAGE_OPTIONS)
        facts = gr.JSON(label='As `symmim predict` writes it', elem_id='facts')

    def predict(image: Image) -> tuple[Image, dict | None]:
        if image is None:
            return None, None
        found = _report(explorer.predict, image)
        return found.draw(image), found.to_json()

    image.change(predict, image, [drawing, facts])


def _report(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function; a user's mistake is shown on the page."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        raise gr.Error(str(error)) from error

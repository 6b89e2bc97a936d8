"""Models of timm, transformers, torchaudio, kornia and monai with random weights, and inputs of several sizes.

Nothing is downloaded: the language models have a tiny configuration, the others their own. Each library is imported
when one of its models is built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Args = tuple[Any, ...]


@dataclass(frozen=True)
class ModelCase:
    """One model. build: makes it, with random weights. inputs: makes its arguments for a size. sizes: the example's
    size, then others that the model is meant to take."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[..., Args]
    sizes: Sequence[tuple[int, ...]]

    @property
    def library(self) -> str:
        return self.name.partition("/")[0]


def imported_torchaudio() -> Any:
    """torchaudio, which raises under a torch for another version of CUDA. Here only the CPU is used."""
    cuda, torch.version.cuda = torch.version.cuda, None
    try:
        import torchaudio.models
        import torchaudio.transforms
    finally:
        torch.version.cuda = cuda
    return torchaudio


# --- inputs ----------------------------------------------------------------------------------------------------------


def noise(*size: int) -> Args:
    return (torch.randn(size),)


def pixels(*size: int) -> Args:
    return (torch.rand(size),)


def ids(batch: int, length: int, *, vocabulary: int = 60) -> Args:
    return (torch.randint(3, vocabulary, (batch, length)),)


def ids_and_mask(batch: int, length: int) -> Args:
    """Token ids, and a mask whose last row is padded by a third."""
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[-1, length - length // 3 :] = 0
    return (*ids(batch, length), mask)


def texts(batch: int, length: int) -> Args:
    """Token ids that end in the highest one, which marks the end."""
    (made,) = ids(batch, length)
    made[:, -1] = 63
    return (made, torch.ones_like(made))


def ids_and_decoder(batch: int, length: int, decoder: int) -> Args:
    return (*ids(batch, length), *ids(batch, decoder))


def frames_and_lengths(batch: int, frames: int, features: int) -> Args:
    return torch.randn(batch, frames, features), torch.full((batch,), frames)


def segments(batch: int, frames: int, features: int) -> Args:
    return torch.randn(batch, frames, features), torch.full((batch,), frames - 4)


def frames_and_decoder(batch: int, decoder: int) -> Args:
    return (torch.randn(batch, 8, 40), *ids(batch, decoder))


def scores_and_classes(*size: int) -> Args:
    return torch.randn(size), torch.randint(0, 2, size).float()


IMAGES = ((2, 3, 64, 64), (1, 3, 64, 64), (3, 3, 96, 64))
SAME_SIZE = ((2, 3, 64, 64), (1, 3, 64, 64), (4, 3, 64, 64))
TEXT = ((2, 8), (1, 8), (3, 8), (2, 13), (2, 5))


# --- timm ------------------------------------------------------------------------------------------------------------


def timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=10, **options)

    return build


TIMM = [
    ModelCase("timm/resnet18", timm("resnet18"), noise, IMAGES),
    ModelCase("timm/mobilenetv3_small_100", timm("mobilenetv3_small_100"), noise, IMAGES),
    ModelCase("timm/efficientnet_b0", timm("efficientnet_b0"), noise, IMAGES),
    ModelCase("timm/vit_tiny_patch16_224", timm("vit_tiny_patch16_224", img_size=64, depth=4), noise, SAME_SIZE),
    ModelCase(
        "timm/vit_tiny_patch16_224 of any size",
        timm("vit_tiny_patch16_224", img_size=64, depth=4, dynamic_img_size=True), noise, IMAGES,
    ),
    ModelCase(
        "timm/swin_tiny_patch4_window7_224",
        timm("swin_tiny_patch4_window7_224", img_size=64, window_size=4, embed_dim=24, depths=(1, 1, 2, 1)),
        noise, SAME_SIZE,
    ),
    ModelCase("timm/convnext_atto", timm("convnext_atto"), noise, IMAGES),
    ModelCase("timm/mobilevit_xxs", timm("mobilevit_xxs"), noise, IMAGES),
    ModelCase("timm/xcit_nano_12_p16_224", timm("xcit_nano_12_p16_224"), noise, IMAGES),
]  # fmt: skip


# --- transformers ----------------------------------------------------------------------------------------------------


class Call(nn.Module):
    """A model of transformers that is called with more than tensors by position: `call` says how."""

    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *args: Tensor) -> Any:
        return self.call(self.model, *args).to_tuple()


SMALL = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
}  # fmt: skip
DECODER = {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def hugging_face(
    config: str, model: str, call: Callable[..., Any] | None = None, **options: Any
) -> Callable[[], nn.Module]:
    """Build a model of transformers. Without `call` the model itself is taken; its results are tuples."""

    def build() -> nn.Module:
        imported_torchaudio()  # transformers imports it, too
        import transformers

        made = getattr(transformers, config)(**options, return_dict=call is not None)
        built = getattr(transformers, model)(made)
        return built if call is None else Call(built, call)

    return build


TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
TRANSFORMERS = [
    ModelCase("transformers/Bert", hugging_face("BertConfig", "BertModel", **SMALL), ids_and_mask, TEXT),
    ModelCase(
        "transformers/DistilBert",
        hugging_face("DistilBertConfig", "DistilBertModel", vocab_size=64, dim=32, n_layers=2, n_heads=4,
                     hidden_dim=48),
        ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/Albert", hugging_face("AlbertConfig", "AlbertModel", embedding_size=16, **SMALL), ids_and_mask,
        TEXT,
    ),
    ModelCase(
        "transformers/DebertaV2",
        hugging_face("DebertaV2Config", "DebertaV2Model", relative_attention=True, pos_att_type=["p2c", "c2p"],
                     **SMALL),
        ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/GPT2",
        hugging_face("GPT2Config", "GPT2Model", lambda m, i, a: m(i, attention_mask=a, use_cache=False),
                     vocab_size=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2),
        ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/Llama", hugging_face("LlamaConfig", "LlamaModel", use_cache=False, **DECODER), ids_and_mask, TEXT
    ),
    ModelCase(
        "transformers/Mistral, window 4",
        hugging_face("MistralConfig", "MistralModel", use_cache=False, sliding_window=4, **DECODER), ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/Mixtral",
        hugging_face("MixtralConfig", "MixtralModel", use_cache=False, num_local_experts=4, **DECODER), ids_and_mask,
        (*TEXT, (1, 1)),
    ),
    ModelCase(
        "transformers/T5",
        hugging_face("T5Config", "T5Model", lambda m, i, d: m(input_ids=i, decoder_input_ids=d, use_cache=False),
                     vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, **TOKENS),
        ids_and_decoder, ((2, 8, 5), (1, 8, 5), (3, 11, 5), (2, 8, 9)),
    ),
    ModelCase(
        "transformers/T5 encoder",
        hugging_face("T5Config", "T5EncoderModel", vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2,
                     num_heads=4, **TOKENS),
        ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/Bart",
        hugging_face("BartConfig", "BartModel", lambda m, i, d: m(input_ids=i, decoder_input_ids=d, use_cache=False),
                     vocab_size=64, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                     decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, **TOKENS),
        ids_and_decoder, ((2, 8, 5), (1, 8, 5), (3, 11, 5), (2, 8, 9)),
    ),
    ModelCase(
        "transformers/Longformer",
        hugging_face("LongformerConfig", "LongformerModel", attention_window=[4, 4], pad_token_id=1, **SMALL),
        ids_and_mask, TEXT,
    ),
    ModelCase(
        "transformers/FNet",
        hugging_face("FNetConfig", "FNetModel", vocab_size=64, hidden_size=32, num_hidden_layers=2,
                     intermediate_size=48),
        ids, TEXT,
    ),
    ModelCase(
        "transformers/Mamba",
        hugging_face("MambaConfig", "MambaModel", lambda m, i: m(i, use_cache=False), vocab_size=64, hidden_size=32,
                     num_hidden_layers=2, state_size=4),
        ids, TEXT,
    ),
    ModelCase(
        "transformers/Whisper",
        hugging_face("WhisperConfig", "WhisperModel",
                     lambda m, x, d: m(input_features=x, decoder_input_ids=d, use_cache=False),
                     vocab_size=64, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                     decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_mel_bins=8,
                     max_source_positions=20, max_target_positions=32, **TOKENS),
        frames_and_decoder, ((2, 5), (1, 5), (3, 5), (2, 9)),
    ),
    ModelCase(
        "transformers/ViT, interpolated",
        hugging_face("ViTConfig", "ViTModel", lambda m, x: m(x, interpolate_pos_encoding=True), image_size=32,
                     patch_size=8, **{k: v for k, v in SMALL.items() if k != "vocab_size"}),
        noise, ((2, 3, 32, 32), (1, 3, 32, 32), (2, 3, 48, 32), (2, 3, 32, 64)),
    ),
    ModelCase(
        "transformers/Detr",
        hugging_face("DetrConfig", "DetrForObjectDetection", lambda m, x: m(pixel_values=x), d_model=32,
                     encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
                     encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=5, use_pretrained_backbone=False,
                     use_timm_backbone=True, backbone="resnet18"),
        noise, ((2, 3, 64, 64), (1, 3, 64, 64), (2, 3, 96, 64)),
    ),
    ModelCase(
        "transformers/Wav2Vec2",
        hugging_face("Wav2Vec2Config", "Wav2Vec2Model", conv_dim=(16, 16, 16), conv_stride=(5, 2, 2),
                     conv_kernel=(10, 3, 3), num_feat_extract_layers=3, num_conv_pos_embeddings=8,
                     num_conv_pos_embedding_groups=4, **SMALL),
        noise, ((2, 1600), (1, 1600), (2, 2000)),
    ),
    ModelCase(
        "transformers/CLIP text",
        hugging_face("CLIPTextConfig", "CLIPTextModel", max_position_embeddings=32, eos_token_id=63, bos_token_id=1,
                     pad_token_id=0, **SMALL),
        texts, TEXT,
    ),
    ModelCase(
        "transformers/Segformer",
        hugging_face("SegformerConfig", "SegformerForSemanticSegmentation", lambda m, x: m(x),
                     hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4],
                     decoder_hidden_size=16),
        noise, ((2, 3, 64, 64), (1, 3, 64, 64), (2, 3, 96, 64)),
    ),
    ModelCase(
        "transformers/PatchTST",
        hugging_face("PatchTSTConfig", "PatchTSTForPrediction", num_input_channels=3, context_length=32,
                     patch_length=8, patch_stride=8, d_model=16, num_attention_heads=4, num_hidden_layers=2,
                     ffn_dim=32, prediction_length=6),
        noise, ((2, 32, 3), (1, 32, 3), (5, 32, 3)),
    ),
]  # fmt: skip


# --- torchaudio ------------------------------------------------------------------------------------------------------


def torchaudio(path: str, *args: Any, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        made: Any = imported_torchaudio()
        for name in path.split("."):
            made = getattr(made, name)
        return made(*args, **options)

    return build


SOUND = ((2, 1, 1600), (1, 1, 1600), (2, 1, 2000), (3, 1, 1601))
TORCHAUDIO = [
    ModelCase(
        "torchaudio/Conformer",
        torchaudio("models.Conformer", input_dim=16, num_heads=4, ffn_dim=32, num_layers=2,
                   depthwise_conv_kernel_size=7),
        frames_and_lengths, ((2, 20, 16), (1, 20, 16), (3, 33, 16)),
    ),
    ModelCase(
        "torchaudio/MelSpectrogram", torchaudio("transforms.MelSpectrogram", 8000, n_fft=256, n_mels=16), noise,
        ((2, 1600), (1, 1600), (3, 2001), (1600,)),
    ),
    ModelCase("torchaudio/Resample", torchaudio("transforms.Resample", 16000, 8000), noise, SOUND),
    ModelCase(
        "torchaudio/ConvTasNet",
        torchaudio("models.ConvTasNet", num_sources=2, enc_kernel_size=8, enc_num_feats=16, msk_kernel_size=3,
                   msk_num_feats=8, msk_num_hidden_feats=16, msk_num_layers=2, msk_num_stacks=1),
        noise, SOUND,
    ),
    ModelCase(
        "torchaudio/AmplitudeToDB", torchaudio("transforms.AmplitudeToDB", "power", 80.0), pixels,
        ((2, 1, 8, 10), (1, 1, 8, 10), (2, 1, 8, 15), (8, 10)),
    ),
    ModelCase(
        "torchaudio/Emformer",
        torchaudio("models.Emformer", 16, 4, 32, 2, 4, right_context_length=4),
        segments, ((2, 20, 16), (1, 20, 16), (2, 28, 16)),
    ),
]  # fmt: skip


# --- kornia ----------------------------------------------------------------------------------------------------------


def kornia(path: str, *args: Any, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import kornia

        made: Any = kornia
        for name in path.split("."):
            made = getattr(made, name)
        return made(*(x() if callable(x) else x for x in args), **options)

    return build


PICTURES = ((2, 3, 16, 16), (1, 3, 16, 16), (5, 3, 16, 16), (2, 3, 24, 16), (2, 3, 17, 21))
PATCHES = ((2, 1, 32, 32), (1, 1, 32, 32), (5, 1, 32, 32))
KORNIA = [
    ModelCase("kornia/GaussianBlur2d", kornia("filters.GaussianBlur2d", (3, 3), (1.0, 1.0)), pixels, PICTURES),
    ModelCase("kornia/Canny", kornia("filters.Canny"), pixels, PICTURES),
    ModelCase("kornia/RgbToHsv", kornia("color.RgbToHsv"), pixels, PICTURES),
    ModelCase("kornia/RgbToLab", kornia("color.RgbToLab"), pixels, PICTURES),
    ModelCase("kornia/MedianBlur", kornia("filters.MedianBlur", (3, 3)), pixels, PICTURES),
    ModelCase("kornia/Resize", kornia("geometry.Resize", (8, 12)), pixels, PICTURES),
    ModelCase("kornia/Rotate", kornia("geometry.Rotate", lambda: torch.tensor(30.0)), pixels, PICTURES),
    ModelCase("kornia/PyrDown", kornia("geometry.PyrDown"), pixels, PICTURES),
    ModelCase("kornia/HardNet", kornia("feature.HardNet", pretrained=False), pixels, PATCHES),
    ModelCase("kornia/SIFTDescriptor", kornia("feature.SIFTDescriptor", 32), pixels, PATCHES),
    ModelCase("kornia/CornerHarris", kornia("feature.CornerHarris", lambda: torch.tensor(0.04)), pixels, PICTURES),
]


# --- monai -----------------------------------------------------------------------------------------------------------


def monai(module: str, name: str, *args: Any, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import importlib

        return getattr(importlib.import_module(f"monai.{module}"), name)(*args, **options)

    return build


SCANS = ((2, 1, 32, 32), (1, 1, 32, 32), (2, 1, 48, 32))
MONAI = [
    ModelCase(
        "monai/UNet", monai("networks.nets", "UNet", 2, 1, 3, channels=(4, 8, 16), strides=(2, 2), num_res_units=1),
        noise, SCANS,
    ),
    ModelCase(
        "monai/BasicUNet, 3d", monai("networks.nets", "BasicUNet", 3, 1, 2, features=(4, 4, 8, 8, 16, 4)), noise,
        ((1, 1, 32, 32, 32), (2, 1, 32, 32, 32), (1, 1, 33, 32, 32)),
    ),
    ModelCase("monai/SegResNet", monai("networks.nets", "SegResNet", 2, 8, 1, 2), noise, SCANS),
    ModelCase(
        "monai/SwinUNETR, 2d",
        monai("networks.nets", "SwinUNETR", in_channels=1, out_channels=2, feature_size=12, spatial_dims=2),
        noise, ((1, 1, 64, 64), (2, 1, 64, 64), (1, 1, 96, 64)),
    ),
    ModelCase(
        "monai/DynUNet",
        monai("networks.nets", "DynUNet", 2, 1, 2, kernel_size=[3, 3, 3], strides=[1, 2, 2],
              upsample_kernel_size=[2, 2], filters=[4, 8, 16]),
        noise, SCANS,
    ),
    ModelCase(
        "monai/DiceLoss", monai("losses", "DiceLoss", sigmoid=True), scores_and_classes,
        ((2, 1, 8, 8), (1, 1, 8, 8), (3, 1, 12, 8)),
    ),
]  # fmt: skip

CASES = {case.name: case for case in (*TIMM, *TRANSFORMERS, *TORCHAUDIO, *KORNIA, *MONAI)}

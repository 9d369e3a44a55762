"""Which classes in a Keras configuration are Keras's own, and how it spells them in the paths of its files.

Keras 3 says of each object the module that it is in, which for classes of one's own is none, and the name that they are
registered by, ``package>Class``. Legacy HDF5 files have the class alone: there `LAYERS` is what is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_OWN_MODULES = ("keras", "tf_keras", "tensorflow", "keras_core")

_DIMENSIONS = (
    *("AdaptiveAveragePooling", "AdaptiveMaxPooling", "AveragePooling", "AvgPool", "Conv", "ConvLSTM", "Convolution"),
    *("Cropping", "GlobalAveragePooling", "GlobalAvgPool", "GlobalMaxPool", "GlobalMaxPooling", "MaxPool"),
    *("MaxPooling", "SpatialDropout", "UpSampling", "ZeroPadding", "AtrousConvolution", "LocallyConnected"),
    *("SeparableConv", "SeparableConvolution", "DepthwiseConv", "Deconvolution"),
)
_OTHERS = """
Activation ActivityRegularization Add AddLoss AddMetric AdditiveAttention AlphaDropout Attention AugMix AutoContrast
Average BatchNormalization BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop
ClassMethod Concatenate ContrastLimitedAdaptiveHistogramEqualization CuDNNGRU CuDNNLSTM CutMix Dense DenseFeatures
Discretization Distiller Dot Dropout ELU EinsumDense Embedding Equalization FeatureSpace Flatten FlaxLayer Functional
GRU GRUCell GaussianDropout GaussianNoise Graph GroupNormalization GroupQueryAttention GroupedQueryAttention
HashedCrossing Hashing Highway Identity InputLayer InstanceMethod InstanceProperty IntegerLookup JaxLayer LSTM LSTMCell
Lambda Layer LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes Maximum MaxoutDense MelSpectrogram Merge Minimum
MixUp Model MultiHeadAttention Multiply Normalization PReLU ParametricSoftplus Permute Pipeline RMSNormalization RNN
RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective
RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom
ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding SReLU STFTSpectrogram SeedGenerator Sequential
SimpleRNN SimpleRNNCell SlicingOpLambda Softmax Solarization SpectralNormalization StackedRNNCells StringLookup Subtract
SyncBatchNormalization TFOpLambda TFSMLayer TensorFlowOpLayer TextVectorization ThresholdedReLU TimeDistributed
TimeDistributedDense TorchModuleWrapper UnitNormalization Wrapper
"""
LAYERS = frozenset(
    [
        *_OTHERS.split(),
        *(f"{name}{n}D{end}" for name in _DIMENSIONS for n in (1, 2, 3) for end in ("", "Transpose", "Cell")),
    ]
)
"""The classes of layers and models of Keras 1 to 3, and more of their pattern than there are."""


def foreign_class(value: Mapping[str, Any]) -> str:
    """The class of an object in a configuration where it is none of Keras's, by the name that Keras looks it up by.

    Loading makes one by calling code that is neither in the file nor in Keras, and what its variables are, the class
    alone knows. Nothing for an object of Keras's, and for one of a legacy file that is no layer.

    >>> foreign_class({"module": None, "class_name": "Mix", "registered_name": "mine>Mix"})
    'mine>Mix'
    >>> foreign_class({"module": "keras.layers", "class_name": "Dense", "registered_name": None})
    ''
    """
    kind, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if isinstance(module, str) and module.partition(".")[0] not in _OWN_MODULES:
        return f"{module}.{kind}"
    for name in (registered, kind):
        if isinstance(name, str) and ">" in name:  # which goes before a module of Keras's
            return name
    if isinstance(module, str):
        return ""
    if "module" in value:
        return registered if isinstance(registered, str) else kind
    config = value.get("config")
    is_layer = isinstance(config, dict) and "trainable" in config
    return kind if is_layer and kind not in LAYERS else ""


def snake_case(kind: str) -> str:
    """How Keras spells the class `kind` in the paths of its files.

    >>> snake_case("Conv1DTranspose"), snake_case("SimpleRNN"), snake_case("PReLU")
    ('conv1d_transpose', 'simple_rnn', 'p_re_lu')
    """
    kind = re.sub(r"\W", "", kind)
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", kind).lower()

"""Layers, with Keras's names, arguments, defaults and conventions."""

from layerkit.layers.attention import MultiHeadAttention
from layerkit.layers.base import LAYERS, Layer
from layerkit.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from layerkit.layers.conv import (
    AveragePooling1D,
    AveragePooling2D,
    Conv1D,
    Conv2D,
    DepthwiseConv2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from layerkit.layers.dense import Activation, Dense, Embedding, Masking, ReLU
from layerkit.layers.input import Input, InputLayer
from layerkit.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Multiply,
    Subtract,
    add,
    concatenate,
)
from layerkit.layers.normalization import BatchNormalization, LayerNormalization
from layerkit.layers.recurrent import GRU, LSTM, RNN, Bidirectional, SimpleRNN, TimeDistributed
from layerkit.layers.regularization import Dropout
from layerkit.layers.reshaping import Flatten, Reshape, ZeroPadding1D, ZeroPadding2D
from layerkit.layers.upsampling import UpSampling2D

__all__ = [
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "Activation",
    "Add",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "MultiHeadAttention",
    "Multiply",
    "ReLU",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "Subtract",
    "TimeDistributed",
    "UpSampling2D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "add",
    "concatenate",
]

#!/usr/bin/env python3
"""Writes a DistilBERT for bytes, and one of half its layers and two thirds of its width, as ONNX with random weights.

    pip install torch transformers onnx
    Examples/text/make_distilbert.py FOLDER

FOLDER/bert-teacher.onnx and FOLDER/bert-student.onnx have the operators and names of Hugging Face's
DistilBertForSequenceClassification in PyTorch's TorchScript export; only the sizes are smaller.
"""
import pathlib
import sys

import torch
import transformers

LENGTH = 64
SIZES = {"bert-teacher": (96, 4), "bert-student": (64, 2)}


class Classifier(torch.nn.Module):
    def __init__(self, width, layers):
        super().__init__()
        self.model = transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(
                vocab_size=256, max_position_embeddings=LENGTH, dim=width, hidden_dim=4 * width, n_heads=4,
                n_layers=layers, num_labels=8, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0,
                attn_implementation="eager"))

    def forward(self, tokens):
        return self.model(input_ids=tokens).logits


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (width, layers) in SIZES.items():
        torch.manual_seed(7)
        path = folder / f"{name}.onnx"
        torch.onnx.export(
            Classifier(width, layers).eval(), (torch.zeros(2, LENGTH, dtype=torch.int64),), str(path), dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, opset_version=17,
            input_names=["tokens"], output_names=["logits"], dynamic_axes={"tokens": {0: "batch"}, "logits": {0: "batch"}})
        print(path)


if __name__ == "__main__":
    main()

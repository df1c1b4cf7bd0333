"""Starting weights that already hold the habit of copying: previous-token heads and heads that match on them.

Random initialisation finds this circuit by itself ("induction heads", Olsson and others, 2022), but on one CPU core
that takes many minutes. So three heads of layer 0 start out looking one or two tokens back, and three heads of layer 1
start out looking for the place whose previous token is the current one and passing on the token there. All weights
stay trainable, and everything else is random.
"""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM

HEAD = 32
PAIRS = HEAD // 2
CONSTANT = 0.25  # value of the embedding dimension that is the same for all tokens


def plant_copying(model: LlamaForCausalLM, sharpness: float = 10.0) -> None:
    """Write the circuit into three heads each of layers 0 and 1 of a freshly initialised model.

    Heads 0 and 1 match the current token with the token before; head 2 matches the token before with the one two
    back, because in this tokenizer a blank stands before most words and says nothing about which word comes next.
    """
    config = model.config
    inverse = config.rope_parameters["rope_theta"] ** (-torch.arange(PAIRS) / PAIRS)
    hidden = config.hidden_size
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    basis = torch.linalg.qr(torch.randn(hidden - 1, hidden - 1))[0]
    # dimension 0 carries the constant and no content
    basis = torch.cat([torch.zeros(hidden - 1, 1), basis], dim=1)
    content = [basis[0:16], basis[16:32], basis[0:16]]
    written = [basis[64:80], basis[80:96], basis[96:112]]
    wanted = [content[0], content[1], written[0]]
    copied = [basis[0:32], basis[32:64], basis[0:32]]
    # only slowly turning rotary pairs can compare contents over a distance
    slow = torch.cat([torch.arange(PAIRS // 2, PAIRS), torch.arange(PAIRS // 2, PAIRS) + PAIRS])
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0.0, 0.05)
        model.model.embed_tokens.weight[:, 0] = CONSTANT
        for head, distance in enumerate((1, 1, 2)):
            rows = slice(head * HEAD, (head + 1) * HEAD)
            _look_back(first, rows, inverse, distance)
            first.v_proj.weight[rows], first.o_proj.weight[:, rows] = 0.0, 0.0
            first.v_proj.weight[rows][:16] = content[head]
            first.o_proj.weight[:, rows][:, :16] = written[head].T * 0.3
            for matrix, reads in ((second.q_proj, wanted[head]), (second.k_proj, written[head])):
                matrix.weight[rows] = 0.0
                matrix.weight[rows.start + slow] = reads * sharpness**0.5
            second.v_proj.weight[rows] = copied[head]
            second.o_proj.weight[:, rows] = copied[head].T * 0.5


def _look_back(attention: torch.nn.Module, rows: slice, inverse: torch.Tensor, distance: int) -> None:
    """Queries and keys that depend on the constant alone and agree best at that distance."""
    amplitude = torch.full((PAIRS,), 1.2)
    amplitude[:2] = 2.4
    amplitude = torch.cat([amplitude, amplitude])
    query = torch.cat([torch.ones(PAIRS), torch.zeros(PAIRS)])
    key = torch.cat([torch.cos(inverse * distance), torch.sin(inverse * distance)])
    for matrix, direction in ((attention.q_proj, query), (attention.k_proj, key)):
        matrix.weight[rows] = 0.0
        matrix.weight[rows, 0] = direction * amplitude

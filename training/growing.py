"""A larger model that begins as (nearly) the same function as a smaller one, so that training goes on from there.

Method: "Net2Net" (Chen and others, 2015). Everything that is new reads, but what it writes counts for nothing at first.
"""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

HEAD = 32  # a head size that vLLM's CPU attention has kernels for


def new_model(vocabulary: int, hidden: int, layers: int, feed_forward: int) -> LlamaForCausalLM:
    """A randomly initialised Llama with heads of 32 and tied embeddings."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        num_key_value_heads=hidden // HEAD,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
    )
    return LlamaForCausalLM(config)


def grow(model: LlamaForCausalLM, hidden: int, layers: int, feed_forward: int) -> LlamaForCausalLM:
    """The model deepened, then widened, to at least these sizes."""
    if layers > model.config.num_hidden_layers:
        model = _deepen(model, layers)
    hidden, feed_forward = max(hidden, model.config.hidden_size), max(feed_forward, model.config.intermediate_size)
    if (hidden, feed_forward) != (model.config.hidden_size, model.config.intermediate_size):
        model = _widen(model, hidden, feed_forward)
    return model


def _deepen(model: LlamaForCausalLM, layers: int) -> LlamaForCausalLM:
    """New layers stand behind old ones, from the end; their last projections are zero."""
    old = len(model.model.layers)
    new = new_model(model.config.vocab_size, model.config.hidden_size, layers, model.config.intermediate_size)
    is_new = [False] * layers
    for place in range(layers - old):
        is_new[layers - 1 - 2 * place] = True
    sources = iter(model.model.layers)
    with torch.no_grad():
        new.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight)
        new.model.norm.weight.copy_(model.model.norm.weight)
        for layer, fresh in zip(new.model.layers, is_new, strict=True):
            if fresh:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
            else:
                layer.load_state_dict(next(sources).state_dict())
    return new


def _widen(model: LlamaForCausalLM, hidden: int, feed_forward: int) -> LlamaForCausalLM:
    """More residual dimensions, heads and feed-forward units; the old ones keep the first places.

    New residual dimensions hold small random numbers that nothing reads yet, and new heads and units write nothing
    yet. The norms' weights shrink because the root mean square is now taken over more dimensions. Not exact: the tied
    output layer reads the new dimensions too.
    """
    narrow = model.config.hidden_size
    new = new_model(model.config.vocab_size, hidden, model.config.num_hidden_layers, feed_forward)
    shrink = (narrow / hidden) ** 0.5
    sources = dict(model.named_parameters())
    with torch.no_grad():
        for name, wide in new.named_parameters():
            source = sources[name]
            if wide.ndim == 1:  # a norm
                wide.fill_(shrink * float(source.mean()))
                wide[:narrow] = source * shrink
                continue
            rows, columns = source.shape
            wide[:, columns:] = 0.02 * torch.randn_like(wide[:, columns:]) if "embed" in name else 0.0
            wide[:rows, :columns] = source
    return new

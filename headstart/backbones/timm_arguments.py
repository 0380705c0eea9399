"""What a configuration may say to timm: one of its own architectures, and arguments of a network's shape.

A list of what is allowed. timm's `create_model` also takes arguments that fetch a URL, open a pickle or write to a
folder (pretrained, pretrained_cfg, pretrained_cfg_overlay, checkpoint_path, cache_dir, …), and others that make
something else of the network (features_only, pruned, scriptable, …): none of them may come from a file.
"""

from __future__ import annotations

from typing import Any

from headstart.core.card_schema import MAX_SIDE, MAX_WIDTH
from headstart.core.errors import PlanError
from headstart.core.schema import Rule, boolean, either, items, number, one_of, shorten, text, whole

ARCHITECTURE = text(100, "[a-z0-9][a-z0-9_]*")  # none of hf-hub:…, local-dir:…, a path
_WORD = text(40, "[a-z0-9_]*")  # of an activation, a norm, a pooling: no path, no module
_SIZES = """attn_head_dim_reduction attn_mlp_ratio attn_pool_mlp_ratio attn_pool_num_heads attn_ratio base_dim
base_dims base_width bottle_ratio cardinality ch_div channel_multiplier channels cls_attn_layers cls_ratio conv_ratio
crpe_window deepen_factor depth depth_mult depth_token_only depths dim dim_mul dims down_kernel_size down_pad
down_patch_size down_stride downsample_ratio embed_dim embed_dims expand_groups expand_ratio expansion_ratio eta
feature_dim ffn_ratio final_chs first_stride fix_init focal_levels focal_windows global_block_counts global_pos_size
group groups growth_rate growth_rates head_dim head_hidden_size head_init_scale head_mul head_widths heads hidden_size
hidden_sizes img_size in_chans init_channels init_values initial_chs inner_dim inplanes intermediate_size k_r
kernel_size kernel_sizes kernels key_dim layer_scale layer_scale_init_value layer_scale_init_values layers
layerscale_value local_conv_size locality_strength local_up_to_layer ls_init_value mask_unit_size
mbconv_expand_ratio merge_size mix_block_ratio mlp_ratio mlp_ratio_token_only mlp_ratios n_div norm_eps num_blocks
num_blocks_list num_classes num_features num_heads num_heads_inner num_heads_outer num_init_features num_kv_heads
num_levels num_reg_tokens num_rnn_layers num_vit output_stride parallel_depth partial_dim patch_kernel patch_padding
patch_size patch_sizes patch_stride pool_size pooling_kernel_size pooling_scale position_embedding_size
pos_embed_grid_size pretrained_window_sizes q_pool q_stride qk_dim ref_feat_shape reg_tokens rel_pos_dim
repmixer_kernel_size res_scale_init_values rope_grid_offset rope_rescale_coords rope_shift_coords rope_temperature
rope_theta scale se_ratio serial_depths sr_ratios ssd_expand stages state_dim stem_chs stem_expand_ratio
stem_hidden_dim stem_kernel_size stem_size stem_stride stem_width stride strides swiglu_align_to transformer_depths
transition_compression_ratio width width_factor width_mult widths widen_factor window_ratio window_size window_sizes
window_spec wss""".split()
_RATES = """attn_drop_rate drop_block_rate drop_path_rate drop_rate dropout patch_drop_rate pos_drop_rate
proj_drop_rate""".split()
_FLAGS = """abs_win_pos_embed always_partition aux_logits avg_down b basic bias bidirectional channel_attention
channel_attn_v2 class_token conv_bias conv_init conv_mlp cpe_act crop_scale distillation distilled downsamples
dynamic_img_pad dynamic_img_size extra_norm_stage fc_norm ffn final_norm fix_stem fused_conv fused_downsample
head_bias head_norm head_norm_first input_3x3 is_downsample_block legacy linear mask_unit_attn mlp_bias multi_conv
named_blocks nlhb no_embed_class outlook_attention patch_norm pool_include_prefix pre_norm preact proj_bias qk_norm
qkv_bias qkv_fused replace_stem_pool rope_rotate_half scale_attn_inner scale_attn_norm scale_mlp scale_mlp_norm
se_downsamples se_from_exp sep_pos_embed shared_rel_pos shortcut_root small small_kernels standardize stem_bias
stem_norm strict_img_size swiglu_mlp tokens_norm use_abs_pos use_abs_pos_emb use_expand_proj use_fc_norm use_grn
use_lab use_layer_scale use_mlp_head use_overlap_down use_pos_emb use_pos_embed use_post_norm
use_post_transformer_norm use_pre_transformer_norm use_rel_pos use_rel_pos_bias use_rope use_rot_pos_emb
use_shared_rel_pos_bias v2 vit_stem zero_init_last""".split()
_WORDS = """aa_layer act_layer attn_type attn_types down_op downsample dw_act_layer fc_act_layer global_pool
local_mbconv_norm norm_layer pad_type pool_type pos_embed rel_pos_type rope_grid_indexing rope_type stem_type
token_mixers weight_init""".split()


def _nested(rule: Rule) -> Rule:
    """One such value, nothing, or a list of them, which may hold lists."""
    flat = either(items(either(rule, one_of(None)), 100), rule, one_of(None))
    return either(items(flat, 100), flat)


_SIZE = either(boolean, number(-MAX_WIDTH, MAX_WIDTH))
ARGUMENTS: dict[str, Rule] = {
    **dict.fromkeys(_SIZES, _nested(_SIZE)),
    **dict.fromkeys(_RATES, _nested(number(0, 1))),
    **dict.fromkeys(_FLAGS, _nested(boolean)),
    **dict.fromkeys(_WORDS, _nested(_WORD)),
    "img_size": either(items(whole(1, MAX_SIDE), 2, 2), whole(1, MAX_SIDE)),
    "in_chans": one_of(3),
    "num_classes": whole(0, MAX_WIDTH),
}


def check_architecture(name: str, architecture: Any, arguments: Any, file: str) -> None:
    """Raises PlanError unless both are what may be said to timm. Imports nothing.

    name: of the backbone.  file: that says so, for messages
    """
    if problem := ARCHITECTURE(architecture):
        raise PlanError(f"{name}: the architecture in {file}{problem}. Only networks of timm's own list are built.")
    if not isinstance(arguments, dict):
        raise PlanError(f"{name}: the arguments in {file} are {shorten(arguments)}, not an object.")
    for argument, value in arguments.items():
        if argument not in ARGUMENTS:
            raise PlanError(
                f"{name}: {file} asks timm for {shorten(argument)}, which no configuration may: only arguments of a "
                f"network's shape are passed on, such as depth or patch_size. "
                f"Delete it there if you trust the file and know that it does not matter."
            )
        if problem := ARGUMENTS[argument](value):
            raise PlanError(f"{name}: {argument} in {file}{problem}. Expected is what timm's own models have there.")

"""Every setting of an encoder's configuration, by the program that writes it: followed, inert, or refused.

Features come from weights and settings, and a setting that is passed over gives wrong ones without a word. So a field
is `followed`, which means that daisy computes by it; or `fixed`, which means that it changes the features, and only
the values that stand here are computed; or `inert`, which means that it changes nothing at inference, and a line says
why.
A field that is none of these is refused by its name, unless it is switched off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from daisy.errors import DaisyError

_OFF: tuple[Any, ...] = (None, False, "", [], {}, ())
"""The values at which an unknown field does nothing: absent, switched off, empty."""

_FIX = (
    "Use another model; if you know that the field changes nothing at inference, take it out of the configuration, "
    "and if it does, compute the features with the program that wrote it"
)


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields of one configuration.

    Attributes:
        followed: Those that daisy computes by.
        fixed: Those that change the features, and the values that are computed.
        inert: Those that change nothing at inference, by why.
    """

    followed: tuple[str, ...]
    fixed: Mapping[str, tuple[Any, ...]]
    inert: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> frozenset[str]:
        """All fields."""
        return frozenset((*self.followed, *self.fixed, *(name for names in self.inert.values() for name in names)))

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse a configuration that asks for what is not computed.

        Raises:
            DaisyError: naming the field, for a value of `fixed` that is not computed, and for an unknown field that is
                not switched off.
        """
        for name, usual in self.fixed.items():
            value = values.get(name, usual[0])
            if value not in usual and not (value is None and False in usual):
                known = " or ".join(repr(value) for value in usual if value is not None)
                raise DaisyError(f"{name} is {_short(value)}, and only {known} is known", fix="Use another model")
        unknown = [name for name, value in values.items() if name not in self.names and not _off(value)]
        if unknown:
            named = ", ".join(f"{name} ({_short(values[name])})" for name in unknown[:3])
            more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
            raise DaisyError(f"its configuration has fields that daisy does not know: {named}{more}", fix=_FIX)


def _off(value: Any) -> bool:
    return any(type(value) is type(off) and value == off for off in _OFF)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


FAIRSEQ = Fields(
    followed=(
        *("_name", "conv_feature_layers", "conv_bias", "extractor_mode", "conv_pos", "conv_pos_groups"),
        *("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads"),
        *("layer_norm_first", "activation_fn", "final_dim", "untie_final_proj", "target_glu"),
        *("cls_pred_position", "layer_norm_eps"),  # the paper's code, and what fairseq has no name for
        *("pos_conv_depth", "relative_position_embedding", "gru_rel_pos", "num_buckets", "max_distance"),
        "feat_proj_layer_norm",  # transformers' name of what DistilHuBERT is without
    ),
    fixed={
        "layer_type": ("transformer",),
        "conv_pos_batch_norm": (False,),
        "quantize_input": (False,),
        "crop_seq_to_multiple": (1,),
        "expand_attention_head_size": (-1, None),
    },
    inert={
        "dropout and layer drop happen in training": (
            *("dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop", "layerdrop"),
            *("dropout_input", "dropout_features", "final_dropout"),
        ),
        "masks are drawn in training": (
            *("mask_length", "mask_prob", "mask_selection", "mask_other", "no_mask_overlap", "mask_min_space"),
            *("mask_channel_length", "mask_channel_prob", "mask_channel_selection", "mask_channel_other"),
            *("no_mask_channel_overlap", "mask_channel_min_space", "mask_channel_before", "apply_mask"),
            *("mask_dropout", "require_same_masks"),
        ),
        "of the loss and its targets": (
            *("label_rate", "logit_temp", "feature_grad_mult", "skip_masked", "skip_nomask", "latent_temp"),
            *("num_negatives", "cross_sample_negatives", "codebook_negatives", "negatives_from_everywhere"),
            *("quantize_targets", "same_quantizer", "latent_vars", "latent_groups", "latent_dim"),
            *("quantizer_depth", "quantizer_factor"),
        ),
        "of data2vec's teacher and its loss": (
            *("loss_beta", "loss_scale", "average_top_k_layers", "layer_norm_target_layer", "layer_norm_targets"),
            *("instance_norm_target_layer", "instance_norm_targets", "batch_norm_target_layer"),
            *("group_norm_target_layer", "ema_decay", "ema_end_decay", "ema_anneal_end_step", "ema_transformer_only"),
            *("ema_layers_only", "max_update", "min_target_var", "min_pred_var"),
        ),
        "of speed and memory; padding to a multiple is masked": (
            *("checkpoint_activations", "required_seq_len_multiple", "fp16", "max_positions", "ddp_backend"),
        ),
        "of a conformer's layers, which layer_type rules out": (
            *("depthwise_conv_kernel_size", "attn_type", "pos_enc_type"),
        ),
        "of adapters, which layer_type rules out": ("adp_num", "adp_dim", "adp_act_fn", "adp_trf_idx"),
        "of a fine-tuning around the encoder": (
            *("w2v_path", "w2v_args", "data", "normalize", "no_pretrained_weights", "freeze_finetune_updates"),
            *("blank_weight", "blank_mode", "mask_channel_before", "offload_activations", "min_params_to_wrap"),
        ),
    },
)
"""The `model` part of fairseq's configuration of HuBERT, wav2vec 2.0 and data2vec, and WavLM's own configuration."""

DISTILLER = Fields(
    followed=(
        *("extractor_mode", "extractor_conv_feature_layers", "conv_pos", "conv_pos_groups", "layer_norm_first"),
        *("encoder_layers", "encoder_embed_dim", "encoder_ffn_embed_dim", "encoder_attention_heads", "activation_fn"),
    ),
    fixed={
        "attention_type": ("original",),
        # The others put an embedding of the predicted layer before the encoder.
        "task_emb_type": ("expand-last", "self-hidden", "concat-last", "none"),
    },
    inert={
        "dropout and layer drop happen in training": (
            *("extractor_dropout", "dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop"),
        ),
        "of the heads that predict the teacher's layers": (
            *("final_dim", "out_layer_type", "out_layer_inter_dim", "n_tasks", "task_emb_size", "layer_emb_size"),
            "pred_layer_id",
        ),
        "of the loss": ("loss_type", "feat_pen_loss", "cosine_loss", "feature_grad_mult"),
        "of fresh weights": ("init_teacher_conv_layers", "init_teacher_encoder_layers"),
    },
)
"""The `distiller` part of s3prl's configuration of a DistilHuBERT."""

TASK = Fields(
    followed=("normalize",),
    fixed={"sample_rate": (16_000, None)},
    inert={
        "names the task, its data and labels": (
            *("_name", "data", "label_dir", "labels", "label_rate", "fine_tuning", "dictionaries", "target_dictionary"),
            *("multi_corpus_keys", "multi_corpus_sampling_weights", "autoregressive", "binarized_dataset", "spk2info"),
        ),
        "of the batches in training": (
            *("enable_padding", "max_keep_size", "max_sample_size", "min_sample_size", "single_target"),
            *("random_crop", "pad_audio", "num_batch_buckets", "rebuild_batches", "precompute_mask_config", "crop"),
            *("inferred_w2v_config", "tpu", "text_compression_level", "subsample", "seed", "mask_config", "kmeans"),
        ),
        "of evaluation in training": (
            *("eval_wer", "eval_wer_config", "eval_wer_tokenizer", "eval_wer_post_process", "eval_bleu"),
            *("eval_bleu_detok", "eval_bleu_detok_args", "eval_tokenized_bleu", "eval_bleu_remove_bpe"),
            *("eval_bleu_args", "eval_bleu_print_samples", "post_save_script"),
        ),
    },
)
"""The `task` part of fairseq's configuration."""

_TRAINER = """
    adam_betas adam_eps aim_repo aim_run_hash all_gather_list_size amp amp_batch_retries amp_init_scale
    amp_scale_window arch average_sync azureml_logging batch_size batch_size_valid beam beam_mt best_checkpoint_metric
    bf16 block_lr block_momentum bpe broadcast_buffers bucket_cap_mb buffer_size checkpoint_shard_count
    checkpoint_suffix clip_norm combine_valid_subsets constraints context_window continue_once cpu cpu_offload criterion
    curriculum data_buffer_size dataset_impl ddp_comm_hook debug_param_names decay_steps decoding_format device_id
    disable_validation distributed_backend distributed_init_method distributed_no_spawn distributed_num_procs
    distributed_port distributed_rank distributed_world_size diverse_beam_groups diverse_beam_strength diversity_rate
    ema_decay ema_fp32 ema_seed_model ema_start_update ema_update_freq empty_cache_freq end_learning_rate eos eos_token
    fast_stat_sync final_lr_scale find_unused_parameters finetune_from_model fix_batches_to_gpus fixed_validation_seed
    force_anneal fp16_adam_stats fp16_init_scale fp16_no_flatten_grads fp16_scale_tolerance fp16_scale_window
    fp32_reduce_scatter gen_subset global_sync_iter gradient_as_bucket_view grouped_shuffling heartbeat_timeout
    hold_steps ignore_prefix_size ignore_unused_valid_subsets init_lr_scale input iter_decode_eos_penalty
    iter_decode_force_max_iter iter_decode_max_iter iter_decode_with_beam iter_decode_with_external_reranker
    keep_best_checkpoints keep_interval_updates keep_interval_updates_pattern keep_last_epochs lenpen lenpen_mt lm_path
    lm_weight load_checkpoint_on_all_dp_ranks local_rank localsgd_frequency log_file log_format log_interval log_keys
    loss_weights lr lr_period_updates lr_scheduler lr_shrink match_source_len max_epoch max_len_a max_len_a_mt max_len_b
    max_len_b_mt max_lr max_sentences max_sentences_valid max_tokens max_tokens_valid max_update max_valid_steps
    maximize_best_checkpoint_metric memory_efficient_bf16 memory_efficient_fp16 min_len min_loss_scale min_lr
    model_overrides model_parallel_size nbest no_beamable_mm no_early_stop no_epoch_checkpoints no_last_checkpoints
    no_progress_bar no_repeat_ngram_size no_reshard_after_forward no_save no_save_optimizer_state no_seed_provided
    not_fsdp_flatten_parameters nprocs_per_node num_shards num_workers on_cpu_convert_precision optimizer
    optimizer_overrides output_word_probs output_word_stats pad path patience phase_ratio pipeline_balance
    pipeline_checkpoint pipeline_chunks pipeline_decoder_balance pipeline_decoder_devices pipeline_devices
    pipeline_encoder_balance pipeline_encoder_devices pipeline_model_parallel plasma_path post_process power
    pred_masked_weight pred_nomask_weight prefix_size print_alignment print_step profile quant_noise_pq
    quant_noise_pq_block_size quant_noise_scalar quantization_config_path quiet relative_lr replace_unk
    report_accuracy required_batch_size_multiple reset_dataloader reset_logging reset_lr_scheduler reset_meters
    reset_optimizer restore_file results_path retain_dropout retain_dropout_modules retain_iter_history sacrebleu
    sampling sampling_topk sampling_topp save_dir save_interval save_interval_updates score_reference scoring seed
    sentence_avg shard_id skip_invalid_size_inputs_valid_test skip_remainder_batch slowmo_base_algorithm
    slowmo_momentum softmax_batch stop_min_lr stop_time_hours store_ema suppress_crashes t_mult task temperature
    tensorboard_logdir threshold_loss_scale tokenizer total_num_update tpu train_subset unk unkpen unnormalized
    update_epoch_batch_itr update_freq update_ordered_indices_seed use_bmuf use_nbm use_old_adam use_plasma_view
    use_sharded_state user_dir valid_subset validate_after_updates validate_interval validate_interval_updates
    wandb_project warmup_init_lr warmup_iterations warmup_ratio warmup_steps warmup_updates weight_decay wer_args
    wer_kenlm_model wer_lexicon wer_lm_weight wer_word_score write_checkpoints_asynchronously zero_infinity
    zero_sharding infonce
"""

TRAINER = frozenset(_TRAINER.split())
"""Options of fairseq's trainer, its optimisers and losses, which stand beside the model's where a file has `args`."""

TRANSFORMERS = Fields(
    followed=(
        *("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        *("hidden_act", "layer_norm_eps", "do_stable_layer_norm", "feat_extract_norm", "conv_dim", "conv_stride"),
        *("conv_kernel", "conv_bias", "num_feat_extract_layers", "feat_proj_layer_norm"),
        *("num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "conv_pos_kernel_size"),
        *("num_buckets", "max_bucket_distance"),
    ),
    fixed={
        "feat_extract_activation": ("gelu", "gelu_python"),
        "conv_pos_batch_norm": (False,),
        "add_adapter": (False, None),
        "adapter_attn_dim": (None,),
        "quantization_config": (None, {}),
        "per_layer_config": (None, {}),
        "pruned_heads": ({}, None),
        "auto_map": ({}, None),
        "is_decoder": (False, None),
        "is_encoder_decoder": (False, None),
        "add_cross_attention": (False, None),
    },
    inert={
        "dropout and layer drop happen in training": (
            *("hidden_dropout", "hidden_dropout_prob", "activation_dropout", "attention_dropout", "final_dropout"),
            *("attention_probs_dropout_prob", "feat_proj_dropout", "feat_extract_dropout", "layerdrop"),
            *("feat_quantizer_dropout", "conformer_conv_dropout"),
        ),
        "of pre-training, in published configurations of wav2vec 2.0 and WavLM": (
            *("freeze_feat_extract_train", "replace_prob"),
        ),
        "masks are drawn in training": (
            *("apply_spec_augment", "mask_time_prob", "mask_time_length", "mask_time_min_masks"),
            *("mask_time_other", "mask_time_selection", "mask_time_min_space", "no_mask_time_overlap"),
            *("mask_feature_prob", "mask_feature_length", "mask_feature_min_masks", "mask_channel_length"),
            *("mask_channel_min_space", "mask_channel_other", "mask_channel_prob", "mask_channel_selection"),
            *("no_mask_channel_overlap",),
        ),
        "of a loss": (
            *("ctc_loss_reduction", "ctc_zero_infinity", "contrastive_logits_temperature", "diversity_loss_weight"),
            *("num_negatives", "num_codevectors_per_group", "num_codevector_groups", "codevector_dim"),
            *("proj_codevector_dim", "label_smoothing", "num_ctc_classes"),
        ),
        "of a model around the encoder": (
            *("use_weighted_layer_sum", "classifier_proj_size", "vocab_size", "output_hidden_size", "tdnn_dim"),
            *("tdnn_kernel", "tdnn_dilation", "xvector_output_dim", "num_labels", "id2label", "label2id"),
            *("problem_type", "finetuning_task", "task_specific_params", "pad_token_id", "bos_token_id"),
            *("eos_token_id", "sep_token_id", "decoder_start_token_id", "tokenizer_class", "tie_word_embeddings"),
            *("tie_encoder_decoder", "tie_last_hidden_states", "cross_attention_hidden_size"),
        ),
        "of adapters, which add_adapter rules out": ("num_adapter_layers", "adapter_kernel_size", "adapter_stride"),
        "of fresh weights": ("initializer_range", "initializer_factor"),
        "of what a call gives, and how it is computed": (
            *("output_hidden_states", "output_attentions", "return_dict", "torchscript", "use_return_dict"),
            *("chunk_size_feed_forward", "gradient_checkpointing", "use_cache", "use_bfloat16", "tf_legacy_loss"),
            *("attn_implementation", "_attn_implementation", "_attn_implementation_autoset"),
            *("attn_implementation_autoset", "experts_implementation", "_experts_implementation"),
        ),
        "of text that a model writes": (
            *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "prefix"),
            *("diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty"),
            *("length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids"),
            *("num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id"),
            *("forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
            *("suppress_tokens", "begin_suppress_tokens"),
        ),
        "says where the file comes from": (
            *("architectures", "transformers_version", "torch_dtype", "dtype", "name_or_path", "_name_or_path"),
            *("_commit_hash",),
        ),
    },
)
"""``config.json`` of transformers, from 4.9, which brought HuBERT, to 5."""

EXTRACTOR = Fields(
    followed=("do_normalize",),
    fixed={
        "feature_extractor_type": ("Wav2Vec2FeatureExtractor", None),
        "sampling_rate": (16_000, None),
        "feature_size": (1, None),
    },
    inert={
        "of batches; here no utterance sees another's padding": (
            *("padding_value", "padding_side", "return_attention_mask", "padding", "max_length", "truncation"),
        ),
        "says where the file comes from": ("processor_class", "transformers_version", "_name_or_path", "auto_map"),
        "of tokens": ("tokenizer_class", "do_lower_case", "word_delimiter_token"),
    },
)
"""The feature extractor: ``preprocessor_config.json``, or `feature_extractor` in ``processor_config.json``."""

"""The method `student`: a small model that is distilled from the frozen one with the branches' speech."""


rule student:
    input:
        corpus=flow.corpora.table("speech"),
        checkpoint=ancient(flow.context.checkpoint),
        manifest=of("manifest", "train.tsv"),
    output:
        student=store_path("student-{key}/student.safetensors"),
        history=store_path("student-{key}/history.csv"),
    log:
        store_path("logs/student-{key}.log"),
    benchmark:
        store_path("benchmarks/student-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    threads: 2
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=stored_settings,
        code=stored_code,
        state=store_path("state/student-{key}"),
        curves=store_path("tensorboard/student-{key}"),
    shell:
        training(
            "students.distil",
            "--checkpoint {input.checkpoint:q} --manifest {input.manifest} --state {params.state} "
            "--curves {params.curves} --out {output.student} --history {output.history} --threads {threads}",
        )

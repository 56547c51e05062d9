# A published result replaces everything that needs rows or models: the measured files, and tables about them.

TAKEN = [published.relative(EXPERIMENT, path) for path in or_stop(published.taken, EXPERIMENT, PUBLISHED)]


rule take_published:
    input:
        # With the checksums of all files.
        str(PUBLISHED.folder / published.MANIFEST),
    output:
        [f"{RESULTS}/{path}" if path in PUBLISHED.files else directory(f"{RESULTS}/{path}") for path in TAKEN],
    localrule: True
    run:
        published.copy(PUBLISHED, TAKEN, Path(RESULTS))

"""What bench.py has measured, as Markdown: all of it, and a table for README.md."""

# column: what the names of its ways begin with; of several the fastest counts
FAMILIES = {"scripts' way": ("scripts",), "TensorFlow": ("TensorFlow",), "OpenVINO": ("OpenVINO",),
            "ONNX Runtime": ("ONNX",), "PyTorch": ("PyTorch", "torch.compile"), "filTags": ("filTags",)}
OURS, SCRIPTS = "filTags", "scripts' way"


def best_rows(found):
    """{family: its fastest row} of a network."""
    best = {}
    for family, beginnings in FAMILIES.items():
        rows = [row for row in found["rows"] if row["way"].startswith(beginnings)]
        if rows:
            best[family] = min(rows, key=lambda row: row["plain"]["ms"])
    return best


def best_peer(best):
    """The milliseconds of the fastest but the scripts' way and ours; None where there is none."""
    return min((row["plain"]["ms"] for family, row in best.items() if family not in (OURS, SCRIPTS)), default=None)


def times(row, rows, kind, what="ms"):
    """How many times as long as filTags."""
    ours = [other for other in rows if other["way"] == OURS]
    return f"{row[kind][what] / ours[0][kind][what]:.1f}" if ours else ""


def write_row(row, rows):
    plain, decode = row["plain"], row.get("decode")
    share = f"{row['share_of_peak']:.0%}" if row["share_of_peak"] is not None else ""
    cells = [row["way"], f"{plain['ms']:.1f}", times(row, rows, "plain"), share, f"{plain['cpu_ms']:.1f}",
             times(row, rows, "plain", "cpu_ms"), f"{decode['ms']:.1f}" if decode else "",
             times(row, rows, "decode") if decode else "", f"{row['peak_mbytes']:.0f} MB"]
    return "| " + " | ".join(cells) + " |"


def write_network(found):
    before, after = found["machine_before"], found["machine_after"]
    lines = ["", f"### {found['network']}", "",
             f"{found['flops'] * 1e-9:.2f} GFLOP a picture as a plain sum, {found['n_filters']} filters. FMA peak "
             f"{before['gflops']:.0f} GFLOPS before, {after['gflops']:.0f} after; "
             f"memory {found['peak']['gbytes']:.0f} GB/s. Largest difference between two ways' activations: "
             f"{found['largest_difference']:.1e}.", "",
             "| way | ms | × filTags | of peak | CPU ms | × filTags | ms with decoding | × filTags | peak memory |",
             "|---|---|---|---|---|---|---|---|---|"]
    lines += [write_row(row, found["rows"]) for row in found["rows"]]
    return lines + [f"\n{name}: left out ({reason})" for name, reason in found["left_out"].items()]


def list_versions(results):
    return ", ".join(f"{name} {version}" for name, version in results["versions"].items())


def write_all(results):
    lines = [f"{results['processor']}, {results['threads']} threads, {results['date']}; {results['pictures']} pictures "
             f"(or as many more as fill a batch), medians of {results['rounds']} interleaved rounds; load of the "
             f"machine {results['load_before']:.1f} before, {results['load_after']:.1f} after. ms: by the clock, a "
             "picture; CPU ms: processor time, which other work on the machine disturbs less. Statistics of every "
             "Conv2D included, nothing computed behind the last one. Convolutions count as plain sums: fewer "
             f"multiplications can show as more than 100 % of the peak. {list_versions(results)}."]
    for found in results["networks"]:
        lines += write_network(found)
    return "\n".join(lines) + "\n"


def write_readme_row(found):
    best = best_rows(found)
    cells = [found["network"]]
    for family in FAMILIES:
        ms = best[family]["plain"]["ms"] if family in best else None
        words = "" if ms is None else f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}"
        cells.append(f"**{words}**" if family == OURS and words else words)
    ours = best[OURS]["plain"]["ms"] if OURS in best else None
    for other in (best[SCRIPTS]["plain"]["ms"] if SCRIPTS in best else None, best_peer(best)):
        cells.append(f"{other / ours:.1f}" if other and ours else "")
    return "| " + " | ".join(cells) + " |"


def write_readme(results):
    """A row a network; of each framework the fastest batch or mode."""
    peaks = [found["peak"]["gflops"] for found in results["networks"]]
    lines = ["| ms a picture | " + " | ".join(FAMILIES) + " | × scripts | × best peer |",
             "|---" * (len(FAMILIES) + 3) + "|", *[write_readme_row(found) for found in results["networks"]], "",
             f"{results['processor']}, {results['threads']} threads, FMA peak {min(peaks):.0f} to {max(peaks):.0f} "
             f"GFLOPS, {results['date']}; {results['pictures']} pictures, medians of {results['rounds']} interleaved "
             f"rounds; of each framework the fastest of its batches and modes. {list_versions(results)}."]
    return "\n".join(lines) + "\n"

import Federation

/// A run in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats); the families are
/// listed in docs/metrics.md.
enum Metrics {
    /// What a worker may be; each is told, also when there is none.
    static let workerStates = ["ready", "working", "contributed", "late", "lost", "left"]
    private static let runStates = ["waiting", "running", "finished", "failed", "stopped"]

    /// Families in a fixed order; what is not known is left out.
    /// - Parameter memory: resident bytes of the coordinator's process.
    static func text(of picture: RunPicture, memory: (resident: Int, peak: Int)) -> String {
        let status = picture.status
        var writer = MetricsWriter()
        writer.gauge(
            "pleach_run_info", "The run; always 1.",
            [MetricSample(1, ["run": status.run, "plan": status.plan, "state": status.state])])
        writer.gauge(
            "pleach_run_state", "1 for the state the run is in, 0 for the others.",
            runStates.map { MetricSample(status.state == $0 ? 1 : 0, ["state": $0]) })
        writer.gauge("pleach_stage", "Stages completed, which is the index of the current one.", status.stage)
        writer.gauge("pleach_stages", "Stages of the plan.", status.stages.count)
        writer.counter("pleach_rounds_completed_total", "Rounds closed.", status.roundsCompleted)
        writer.gauge("pleach_rounds_planned", "Rounds of the plan.", status.roundsPlanned)
        append(picture.times, to: &writer)
        writer.counter("pleach_contributions_accepted_total", "Contributions folded.", status.contributionsAccepted)
        writer.counter("pleach_contributions_refused_total", "Contributions refused.", status.contributionsRefused)
        let refusals = Dictionary(
            picture.course.refusals.map { ($0.kind, $0.count) }, uniquingKeysWith: { first, _ in first })
        writer.counter(
            "pleach_refusals_total", "Contributions refused, by the kind of reason.",
            RefusalKind.allCases.map { MetricSample(Double(refusals[$0] ?? 0), ["reason": $0.rawValue]) })
        writer.counter(
            "pleach_wire_bytes_total", "Bytes moved, seen from the workers: up to the coordinator, down from it.",
            [
                MetricSample(Double(status.wireBytesUp), ["direction": "up"]),
                MetricSample(Double(status.wireBytesDown), ["direction": "down"]),
            ])
        writer.counter(
            "pleach_wire_float32_bytes_total", "Bytes that float32 averaging would have moved in the same rounds.",
            status.wireBytesFloat32)
        appendModel(picture, to: &writer)
        if let round = status.round {
            append(round, missing: status.workers.count(where: \.isAwaited), to: &writer)
        }
        append(status.workers, to: &writer)
        if memory.resident > 0 {
            writer.gauge(
                "process_resident_memory_bytes", "Resident memory of the coordinator's process.", memory.resident)
            writer.gauge(
                "pleach_process_peak_memory_bytes", "The most resident memory of that process so far.", memory.peak)
        }
        return writer.text
    }

    private static func append(_ times: RoundTimes, to writer: inout MetricsWriter) {
        if !times.byTask.isEmpty {
            writer.histogram(
                "pleach_round_seconds", "Seconds from the opening of a round to what it made, by task.",
                bounds: RoundTimes.bounds,
                times.byTask.map { (["task": $0.name], $0.times.counts, $0.times.rounds, $0.times.seconds) })
        }
        writer.counter(
            "pleach_fold_seconds_total", "Seconds spent folding contributions.", [MetricSample(times.foldSeconds)])
    }

    private static func appendModel(_ picture: RunPicture, to writer: inout MetricsWriter) {
        let (status, course) = (picture.status, picture.course)
        writer.gauge(
            "pleach_sparsity_ratio", "Share of prunable weights that are masked.", [MetricSample(status.sparsity)])
        if let accuracy = status.accuracy {
            writer.gauge("pleach_accuracy_ratio", "Latest test accuracy.", [MetricSample(accuracy)])
        }
        let losses = [("train", course.trainingLoss), ("test", course.testLoss)].compactMap { data, loss in
            loss.map { MetricSample($0, ["data": data]) }
        }
        if !losses.isEmpty { writer.gauge("pleach_loss", "Latest mean loss, on training and on test data.", losses) }
        writer.gauge(
            "pleach_model_bytes", "Bytes of the float32 file the run began with, and of the one it would deliver now.",
            [
                MetricSample(Double(course.bytesBefore), ["model": "before"]),
                MetricSample(Double(course.bytesAfter), ["model": "after"]),
            ])
        if let bits = course.rounds.last(where: { $0.bitsPerWeight != nil })?.bitsPerWeight {
            writer.gauge(
                "pleach_downlink_bits_per_weight", "Of the latest downlink delta, per weight of the model.",
                [MetricSample(bits)])
        }
    }

    private static func append(_ round: RunStatus.Round, missing: Int, to writer: inout MetricsWriter) {
        writer.gauge(
            "pleach_round", "The open round.",
            [MetricSample(Double(round.number), ["kind": round.kind, "task": round.task])])
        writer.gauge("pleach_round_contributions", "Contributions to the open round.", round.contributions)
        writer.gauge("pleach_round_workers", "Workers asked in the open round.", round.workers)
        writer.gauge("pleach_round_quorum", "Contributions that suffice at the deadline.", round.quorum)
        writer.gauge("pleach_round_missing_workers", "Known workers that the open round waits for.", missing)
        if let age = round.ageSeconds {
            writer.gauge("pleach_round_age_seconds", "Age of the open round.", [MetricSample(age)])
        }
        writer.gauge(
            "pleach_round_deadline_seconds", "Age at which the round closes.", [MetricSample(round.deadlineSeconds)])
    }

    private static func append(_ workers: [RunStatus.Worker], to writer: inout MetricsWriter) {
        writer.gauge(
            "pleach_workers", "Workers by state.",
            workerStates.map { state in MetricSample(Double(workers.count { $0.state == state }), ["state": state]) })
        let seen = workers.compactMap { worker in worker.secondsSinceSeen.map { (worker.name, $0) } }
        if !seen.isEmpty {
            writer.gauge(
                "pleach_worker_silence_seconds", "Time since a worker was heard.",
                seen.map { MetricSample($0.1, ["worker": $0.0]) })
        }
    }
}

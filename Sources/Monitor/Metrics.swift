import Federation

/// A run's status in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
public enum Metrics {
    /// Families in a fixed order; what is not known is left out.
    public static func text(of status: RunStatus) -> String {
        var writer = MetricsWriter()
        writer.gauge(
            "pleach_run_info", "The run; always 1.",
            [MetricSample(1, ["run": status.run, "plan": status.plan, "state": status.state])])
        writer.gauge("pleach_stage", "Stages completed, which is the index of the current one.", status.stage)
        writer.gauge("pleach_stages", "Stages of the plan.", status.stages.count)
        writer.counter("pleach_rounds_completed_total", "Rounds closed.", status.roundsCompleted)
        writer.gauge("pleach_rounds_planned", "Rounds of the plan.", status.roundsPlanned)
        writer.counter("pleach_contributions_accepted_total", "Contributions folded.", status.contributionsAccepted)
        writer.counter("pleach_contributions_refused_total", "Contributions refused.", status.contributionsRefused)
        writer.counter(
            "pleach_wire_bytes_total", "Bytes moved, seen from the workers: up to the coordinator, down from it.",
            [
                MetricSample(Double(status.wireBytesUp), ["direction": "up"]),
                MetricSample(Double(status.wireBytesDown), ["direction": "down"]),
            ])
        writer.counter(
            "pleach_wire_float32_bytes_total", "Bytes that float32 averaging would have moved in the same rounds.",
            status.wireBytesFloat32)
        writer.gauge(
            "pleach_sparsity_ratio", "Share of prunable weights that are masked.", [MetricSample(status.sparsity)])
        if let accuracy = status.accuracy {
            writer.gauge("pleach_accuracy_ratio", "Latest test accuracy.", [MetricSample(accuracy)])
        }
        if let round = status.round { append(round, to: &writer) }
        append(status.workers, to: &writer)
        return writer.text
    }

    private static func append(_ round: RunStatus.Round, to writer: inout MetricsWriter) {
        writer.gauge(
            "pleach_round", "The open round.",
            [MetricSample(Double(round.number), ["kind": round.kind, "task": round.task])])
        writer.gauge("pleach_round_contributions", "Contributions to the open round.", round.contributions)
        writer.gauge("pleach_round_workers", "Workers asked in the open round.", round.workers)
        writer.gauge("pleach_round_quorum", "Contributions that suffice at the deadline.", round.quorum)
        if let age = round.ageSeconds {
            writer.gauge("pleach_round_age_seconds", "Age of the open round.", [MetricSample(age)])
        }
        writer.gauge(
            "pleach_round_deadline_seconds", "Age at which the round closes.", [MetricSample(round.deadlineSeconds)])
    }

    private static func append(_ workers: [RunStatus.Worker], to writer: inout MetricsWriter) {
        let states = ["ready", "working", "contributed", "late", "lost"]
        writer.gauge(
            "pleach_workers", "Workers by state.",
            states.map { state in MetricSample(Double(workers.count { $0.state == state }), ["state": state]) })
        let seen = workers.compactMap { worker in worker.secondsSinceSeen.map { (worker.name, $0) } }
        if !seen.isEmpty {
            writer.gauge(
                "pleach_worker_silence_seconds", "Time since a worker was heard.",
                seen.map { MetricSample($0.1, ["worker": $0.0]) })
        }
    }
}

private struct MetricSample {
    let value: Double
    let labels: KeyValuePairs<String, String>

    init(_ value: Double, _ labels: KeyValuePairs<String, String> = [:]) {
        self.value = value
        self.labels = labels
    }
}

/// Lines of the text format.
private struct MetricsWriter {
    var text = ""

    mutating func gauge(_ name: String, _ help: String, _ value: Int) {
        gauge(name, help, [MetricSample(Double(value))])
    }
    mutating func gauge(_ name: String, _ help: String, _ samples: [MetricSample]) {
        family(name, "gauge", help, samples)
    }
    mutating func counter(_ name: String, _ help: String, _ value: Int) {
        counter(name, help, [MetricSample(Double(value))])
    }
    mutating func counter(_ name: String, _ help: String, _ samples: [MetricSample]) {
        family(name, "counter", help, samples)
    }

    private mutating func family(_ name: String, _ type: String, _ help: String, _ samples: [MetricSample]) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for sample in samples {
            let labels = sample.labels.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",")
            text += "\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(Self.number(sample.value))\n"
        }
    }

    /// Backslash, quote and line feed are all the format asks for.
    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int(exactly: value).map(String.init) ?? value.description
    }
}

/// One line of the text format, less its name.
struct MetricSample {
    let value: Double
    let labels: KeyValuePairs<String, String>

    init(_ value: Double, _ labels: KeyValuePairs<String, String> = [:]) {
        self.value = value
        self.labels = labels
    }
}

/// Lines of Prometheus' text format. Label values may be anything: they are escaped.
struct MetricsWriter {
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

    /// A histogram with one set of buckets for each label set. `counts` are of one bucket each; the format wants them added up.
    mutating func histogram(
        _ name: String, _ help: String, bounds: [Double],
        _ sets: [(labels: KeyValuePairs<String, String>, counts: [Int], count: Int, sum: Double)]
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
        for set in sets {
            let labels = set.labels.map { "\($0.key)=\"\(Self.escaped($0.value))\"," }.joined()
            var total = 0
            for (bound, count) in zip(bounds, set.counts) {
                total += count
                text += "\(name)_bucket{\(labels)le=\"\(Self.number(bound))\"} \(total)\n"
            }
            text += "\(name)_bucket{\(labels)le=\"+Inf\"} \(set.count)\n"
            let own = labels.isEmpty ? "" : "{\(labels.dropLast())}"
            text += "\(name)_sum\(own) \(Self.number(set.sum))\n\(name)_count\(own) \(set.count)\n"
        }
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

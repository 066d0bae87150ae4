import Foundation

extension LogSummary {
    /// JSON with sorted keys and a newline; workers in the order of their names.
    public func json() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        var sorted = self
        sorted.workers = workers.sorted { $0.name < $1.name }
        guard let data = try? encoder.encode(sorted) else { preconditionFailure("a finite summary can be encoded") }
        return Array(escapedJSON(String(decoding: data, as: UTF8.self)).utf8) + [UInt8(ascii: "\n")]
    }

    /// Lines for people; whatever comes out of a log is escaped.
    public func text() -> String {
        guard let from, let to else { return "no event fits" }
        var lines = ["\(Figures.count(events)) events, \(escapedForTerminal(from)) to \(escapedForTerminal(to))"]
        var faults = ["\(Figures.count(warnings)) warnings", "\(Figures.count(errors)) errors"]
        if unreadableLines > 0 { faults.append("\(Figures.count(unreadableLines)) unreadable lines") }
        if droppedEvents > 0 { faults.append("\(Figures.count(droppedEvents)) events were not written (full disk)") }
        lines.append(faults.joined(separator: ", "))
        if starts > 1 { lines.append("the coordinator was started \(starts) times") }
        if rounds.count > 0 { lines += roundLines }
        lines.append("contributions: \(Figures.count(accepted)) accepted, \(Figures.count(refused)) refused")
        lines += refusalsByReason.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
            "  \(Figures.count($0.value)) x \(escapedForTerminal($0.key))"
        }
        if !workers.isEmpty { lines.append(workerTable) }
        return lines.joined(separator: "\n")
    }

    private var roundLines: [String] {
        var all = "rounds: \(Self.text(of: rounds))"
        if let accuracy { all += " · accuracy \(Figures.percent(accuracy))" }
        if let loss { all += " · loss \(Figures.number(loss))" }
        if finished { all += " · the run finished" }
        let (wire, raw) = (Double(wireBytesUp) + Double(wireBytesDown), Double(rawBytesUp) + Double(rawBytesDown))
        let factor = wire > 0 && raw > 0 ? " (\(Figures.factor(raw / wire)) fewer than float32 averaging)" : ""
        return [all]
            + roundsByTask.sorted { $0.key < $1.key }.map {
                "  \(escapedForTerminal($0.key)): \(Self.text(of: $0.value))"
            }
            + ["wire: \(Figures.bytes(wireBytesUp)) up, \(Figures.bytes(wireBytesDown)) down\(factor)"]
    }

    private static func text(of times: Times) -> String {
        var text = "\(Figures.count(times.count)) in \(Figures.seconds(times.seconds))"
        if let least = times.leastSeconds, let most = times.mostSeconds, times.count > 1 {
            text += " (each \(Figures.seconds(least)) to \(Figures.seconds(most)))"
        }
        return text
    }

    private var workerTable: String {
        let headings = ["worker", "accepted", "refused", "lost", "bytes", "work", "fetch", "upload", "waited for"]
        let rows = workers.sorted { $0.name < $1.name }.map { worker in
            [
                worker.name, Figures.count(worker.accepted), Figures.count(worker.refused), Figures.count(worker.lost),
                Figures.bytes(worker.bytes), Figures.seconds(worker.seconds), Figures.seconds(worker.fetchSeconds),
                Figures.seconds(worker.uploadSeconds), "\(Figures.count(worker.waits)) rounds",
            ]
        }
        return TextTable(rows: [headings] + rows).text()
    }
}

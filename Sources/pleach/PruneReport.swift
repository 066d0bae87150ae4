import Compression
import Foundation
import ModelGraph
import Monitor

/// What `pleach model prune` did.
struct PruneReport: Codable {
    struct Sizes: Codable {
        /// Trainable numbers, and those that are not zero.
        var parameters: Int
        var nonzeroParameters: Int
        /// For one sample; nil where an open axis needs an extent.
        var macs: Int?
        /// Of the file that Pleach writes, with float32 parameters inside.
        var bytes: Int

        init(_ graph: Graph, extents: [String: Int]) throws {
            let summary = try graph.summary(fileBytes: graph.serializedByteCount, extents: extents)
            parameters = summary.parameters
            nonzeroParameters = summary.nonzeroParameters
            macs = summary.macs
            bytes = summary.bytes
        }
    }

    struct Group: Codable {
        var name: String
        var kind: String
        var channels: Int
        var kept: Int
    }

    /// Channels for which sliced and masked model are not quite equal.
    struct Note: Codable {
        var group: String
        var channels: [Int]
        var node: String
        var reason: String
    }

    var out = ""
    var criterion: String
    var scope: String
    var multiple: Int
    var before: Sizes
    var after: Sizes
    /// The groups that were looked at.
    var groups: [Group]
    /// The residual blocks that left.
    var blocks: [String]
    /// Weights that are zero now, and of how many.
    var zeroedWeights: Int?
    var prunableWeights: Int?
    var notes: [Note]
    var remarks: [String]
    var check: PruneCheck?

    init(_ pruner: ModelPruner, _ result: ModelPruner.Result, before: Sizes, after: Sizes) {
        criterion = pruner.settings.criterion.rawValue
        scope = pruner.settings.scope.rawValue
        multiple = pruner.settings.multiple
        (self.before, self.after) = (before, after)
        groups = result.groups.map { group, kept in
            Group(name: group.name, kind: group.kind.rawValue, channels: group.channels, kept: kept)
        }
        blocks = result.blocks
        zeroedWeights = result.zeroed?.weights
        prunableWeights = result.zeroed?.of
        notes = result.notes.map {
            Note(group: $0.group, channels: $0.channels, node: $0.node, reason: $0.reason.rawValue)
        }
        remarks = result.remarks
    }

    /// The report for a terminal.
    var lines: [String] {
        var lines: [String] = []
        if !groups.isEmpty {
            var table = TextTable(["group", "kind", "channels", "left"], numbers: [2, 3])
            for group in groups { table.add([group.name, group.kind, "\(group.channels)", "\(group.kept)"]) }
            lines += table.lines + [""]
        }
        if !blocks.isEmpty {
            var table = TextTable(["residual block removed"])
            for block in blocks { table.add([block]) }
            lines += table.lines + [""]
        }
        lines += before.lines(comparedWith: after, showsNonzero: zeroedWeights != nil)
        if let zeroedWeights, let prunableWeights {
            lines.append("\(zeroedWeights) of \(prunableWeights) prunable weights are zero")
        }
        lines += (noteLines + remarks).map { escapedForTerminal($0, limit: 4000) }
        if let check {
            lines.append(
                String(
                    format: "check: masked and sliced differ by %.2g at most, %.2g of the largest output (%d samples)",
                    check.largestDifference, check.relativeDifference, check.samples))
        }
        return lines + [out]
    }

    /// One sentence a reason.
    private var noteLines: [String] {
        func sentence(_ reason: PruningNote.Reason, _ text: String) -> String? {
            let channels = notes.filter { $0.reason == reason.rawValue }
            guard let first = channels.first else { return nil }
            let count = channels.reduce(0) { $0 + $1.channels.count }
            return "not exact: \(text) (\(count) times, first in \(first.group) at \(first.node))"
        }
        return [
            sentence(
                .border, "the constant of removed channels meets a border padded with zeros; --borders keep keeps them"),
            sentence(.notConstant, "what removed channels emit at a layer behind is no constant that it could absorb"),
        ].compactMap(\.self)
    }
}

extension PruneReport.Sizes {
    /// A table of what a command started from and what it left.
    func lines(comparedWith after: PruneReport.Sizes, showsNonzero: Bool = false) -> [String] {
        var sizes = TextTable(["", "before", "after", "left"], numbers: [1, 2, 3])
        func row(_ name: String, _ old: Int?, _ new: Int?) {
            let share = old.flatMap { old in new.map { Double($0) / Double(max(1, old)) * 100 } }
            sizes.add([
                name, old.map(String.init) ?? "not known", new.map(String.init) ?? "not known",
                share.map { String(format: "%.1f %%", $0) } ?? "",
            ])
        }
        row("parameters", parameters, after.parameters)
        if showsNonzero { row("not zero", nonzeroParameters, after.nonzeroParameters) }
        row("MACs", macs, after.macs)
        row("file bytes, as Pleach writes it", bytes, after.bytes)
        return sizes.lines
    }
}

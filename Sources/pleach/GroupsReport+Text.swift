import Foundation

extension GroupsReport {
    /// The report for a terminal.
    var lines: [String] {
        var lines: [String] = []
        var table = TextTable(
            ["group", "kind", "channels", "tensors", "parameters", "MACs", "removal"], numbers: [2, 3, 4, 5])
        for group in groups {
            table.add([
                group.name, group.kind, "\(group.channels)", "\(Set(group.members.map(\.parameter)).count)",
                "\(group.parameters)", percent(group.macShare),
                group.normalizedOver ? "normalised over: changes the others" : "exact",
            ])
        }
        lines += groups.isEmpty ? ["no group of channels can be removed"] : table.lines
        lines += ["", "Parameters and MACs are those that leave with all of a group; groups overlap."]
        if !blocks.isEmpty {
            var table = TextTable(["residual block", "nodes", "parameters", "MACs"], numbers: [1, 2, 3])
            for block in blocks {
                table.add([block.name, "\(block.nodes.count)", "\(block.parameters)", percent(block.macShare)])
            }
            lines += [""] + table.lines
        }
        if !fixed.isEmpty {
            var table = TextTable(["fixed", "axis", "why"], numbers: [1])
            for axis in fixed { table.add([axis.parameter, "\(axis.axis)", axis.reason]) }
            lines += [""] + table.lines
        }
        return lines
    }

    private func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }
}

import SwiftProtobuf

// Mask decisions and changes of what workers keep, as messages.

extension KeptChange {
    var message: Pleach_V1_KeptChange {
        var message = Pleach_V1_KeptChange()
        guard case .structure(let change, let graph) = self else { return message }
        message.blob = change.digest.data
        message.byteCount = UInt64(change.byteCount)
        message.graph = graph.digest.data
        message.graphByteCount = UInt64(graph.byteCount)
        return message
    }

    init(_ body: Pleach_V1_KeptChange) throws(MessageError) {
        guard !body.blob.isEmpty else {
            self = .fresh
            return
        }
        self = .structure(
            try blob(body.blob, body.byteCount, "task.changes.blob"),
            graph: try blob(body.graph, body.graphByteCount, "task.changes.graph"))
    }
}

extension MaskDecision {
    var message: Pleach_V1_MaskDecision {
        var message = Pleach_V1_MaskDecision()
        message.granularity = UInt32(rules.granularity.rawValue)
        message.criterion = UInt32(rules.criterion.rawValue)
        message.scope = UInt32(rules.scope.rawValue)
        message.rule = UInt32(rules.rule.rawValue)
        message.threshold = rules.threshold
        message.blockRows = UInt32(rules.blockRows)
        message.blockColumns = UInt32(rules.blockColumns)
        message.multiple = UInt32(rules.multiple)
        message.normalized = rules.normalized
        message.keepsBorders = rules.keepsBorders
        message.excluded = rules.excluded
        message.regrow = regrow
        switch amount {
        case .sparsity(let share): message.sparsity = share
        case .keep(let share): message.keep = share
        case .remove(let count): message.remove = UInt64(count)
        case .weights(let count): message.weights = UInt64(count)
        case .macs(let count): message.macs = UInt64(count)
        case .bytes(let count): message.bytes = UInt64(count)
        case .milliseconds(let target, let share):
            message.milliseconds.target = target
            message.milliseconds.share = share
        }
        return message
    }

    init(_ body: Pleach_V1_MaskDecision) throws(MessageError) {
        let rules = try MaskRules(body)
        let amount = try Amount(body)
        // A share of masked weights is for masks, anything else for what is removed.
        let isMask = if case .sparsity = amount { true } else { false }
        guard isMask != rules.granularity.isStructural, rules.criterion.fits(rules.granularity) else {
            throw MessageError("the parts of a mask decision do not go together")
        }
        self.init(rules: rules, amount: amount, regrow: try finite(body.regrow, 0...1, "decision.regrow"))
    }
}

extension MaskDecision.Amount {
    fileprivate init(_ body: Pleach_V1_MaskDecision) throws(MessageError) {
        switch body.amount {
        case .sparsity(let share): self = .sparsity(try finite(share, 0...1, "decision.sparsity"))
        case .keep(let share): self = .keep(try finite(share, 0...1, "decision.keep"))
        case .remove(let value): self = .remove(try count(value, "decision.remove"))
        case .weights(let value): self = .weights(try count(value, "decision.weights"))
        case .macs(let value): self = .macs(try count(value, "decision.macs"))
        case .bytes(let value): self = .bytes(try count(value, "decision.bytes"))
        case .milliseconds(let value):
            self = .milliseconds(
                target: try finite(value.target, 0...1e9, "decision.milliseconds.target"),
                share: try finite(value.share, 0...1, "decision.milliseconds.share"))
        case nil: throw MessageError("a mask decision of a kind this version does not know")
        }
    }
}

extension MaskRules {
    fileprivate init(_ body: Pleach_V1_MaskDecision) throws(MessageError) {
        let extents = [body.blockRows, body.blockColumns, body.multiple]
        guard extents.allSatisfy({ (1...4096).contains($0) }) else {
            throw MessageError("the extents of a mask decision are out of range")
        }
        guard body.excluded.count <= MessageLimits.excludedNames else {
            throw MessageError("decision.excluded is too long")
        }
        var excluded: [String] = []
        for name in body.excluded { excluded.append(try text(name, "decision.excluded")) }
        self.init(
            granularity: try known(body.granularity, "decision.granularity"),
            criterion: try known(body.criterion, "decision.criterion"),
            scope: try known(body.scope, "decision.scope"), rule: try known(body.rule, "decision.rule"),
            threshold: try finite(body.threshold, 0...1, "decision.threshold"), blockRows: Int(body.blockRows),
            blockColumns: Int(body.blockColumns), multiple: Int(body.multiple), normalized: body.normalized,
            keepsBorders: body.keepsBorders, excluded: excluded)
    }
}

extension UpdateDescription {
    /// A word of the table and what it means.
    public struct Term: Sendable, Equatable {
        public let word: String
        public let meaning: String
    }

    /// The words that occur in this description's table, in the order in which they come up.
    public var terms: [Term] {
        var words: [String] = [kind, "bits a weight", "body", packing, "base", "mask epoch"]
        if !maskChanges.isEmpty { words.append("mask") }
        for change in maskChanges { words += [change.coding, change.relative ? "of the alive so far" : "of all"] }
        if !tensors.isEmpty { words += ["tensor", "elements", "alive", "sent", "positions"] }
        words += tensors.map(\.positions)
        if !tensors.isEmpty { words.append("values") }
        words += tensors.map(\.values)
        if !tensors.isEmpty { words.append("coding") }
        words += tensors.map(\.coding)
        if tensors.contains(where: \.rotated) { words.append("rotated") }
        if tensors.contains(where: { $0.blockSize != nil }) { words.append("block") }
        if !tensors.isEmpty { words += ["position B", "scale B", "value B", "bytes", "bits/sent"] }
        var seen: Set<String> = []
        return words.filter { seen.insert($0).inserted }.map { Term(word: $0, meaning: Self.meanings[$0] ?? "") }
    }

    /// Every word that a table can hold.
    static let meanings: [String: String] = [
        "update": "what a worker sends up: its weights after training minus those of the base",
        "delta": "what the coordinator sends down: the next snapshot minus the base",
        "scores": "how important each weight of the base is, for deciding which to prune",
        "logits": "what a model says of each sample of a public set; the layout is that one table",
        "bits a weight": "bits of the whole file over all weights of the model, sent or not",
        "body": "all behind the header of 52 bytes, once it is unpacked",
        "stored": "the body stands in the file as it is",
        "lz4": "packed with LZ4, where that makes it smaller",
        "base": "digest of the snapshot that the values refer to",
        "mask epoch": "number of the set of masks that the values are aligned to; it changes when the masks do",
        "mask": "one bit a weight that tells whether it is alive; a line above for each mask that changes",
        "removed": "the tensor has no mask any more: all its weights are alive",
        "gaps-of-dead": "the distances between the dead weights, Rice-coded",
        "of the alive so far": "only weights alive until now are told of; all others stay dead",
        "of all": "every weight of the tensor is told of",
        "tensor": "number of the tensor in the model's order, from 0; tensors with nothing to tell have no line",
        "elements": "weights of the tensor, alive or dead",
        "alive": "weights that the mask keeps; the others are pruned, always 0, and cost nothing",
        "sent": "alive weights that have a value here; the others count as 0",
        "positions": "how the file says which of the alive weights have a value",
        "dense": "all of them, so nothing need be said",
        "bitmap": "one bit for each",
        "gaps": "the distances between those meant, Rice-coded",
        "gaps-of-left-out": "the distances between those without a value, Rice-coded",
        "blocks": "equally many in each 4,096, 12 bits each",
        "values": "how a value is written",
        "f32": "32-bit floats, exact",
        "f16": "16-bit floats times a power of two that the tensor shares",
        "bf16": "the upper 16 bits of 32-bit floats",
        "int8": "whole numbers from -127 to 127 times the block's scale",
        "int6": "whole numbers from -31 to 31 times the block's scale",
        "int4": "whole numbers from -7 to 7 times the block's scale",
        "int3": "whole numbers from -3 to 3 times the block's scale",
        "int2": "four levels (-1.5, -0.5, 0.5, 1.5) times the block's scale",
        "ternary": "a sign times the block's scale; with the zeros that are not sent, three values",
        "sign": "a sign times the block's scale",
        "codebook16": "one of up to 16 levels that the tensor lists, times the block's scale",
        "codebook256": "one of up to 256 levels that the tensor lists, times the block's scale",
        "coding": "how the values' codes are laid down",
        "plain": "equally many bits for each",
        "rice": "fewer bits for small numbers, more for large ones (Rice code)",
        "rotated": "mixed by a random rotation before rounding, which spreads outliers; readers turn it back",
        "block": "how many values share a scale",
        "position B": "bytes of the positions",
        "scale B": "bytes of the scales",
        "value B": "bytes of the values' codes",
        "bytes": "all bytes of the tensor",
        "bits/sent": "bits for each value sent, all bytes of the tensor counted",
    ]

    /// The terms as lines for people.
    public var glossary: String {
        let terms = terms
        let width = terms.map(\.word.count).max() ?? 0
        return terms.map { term in
            "  " + term.word + String(repeating: " ", count: width - term.word.count) + "  " + term.meaning
        }.joined(separator: "\n")
    }
}

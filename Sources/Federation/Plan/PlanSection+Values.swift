import Yams

/// An interval of real numbers with open or closed ends.
struct NumberRange {
    let lower: Double
    let includesLower: Bool
    let upper: Double
    let includesUpper: Bool

    static func from(_ lower: Double, upTo upper: Double) -> NumberRange {
        NumberRange(lower: lower, includesLower: true, upper: upper, includesUpper: true)
    }
    static func from(_ lower: Double, below upper: Double) -> NumberRange {
        NumberRange(lower: lower, includesLower: true, upper: upper, includesUpper: false)
    }
    static func above(_ lower: Double, upTo upper: Double) -> NumberRange {
        NumberRange(lower: lower, includesLower: false, upper: upper, includesUpper: true)
    }
    static func above(_ lower: Double, below upper: Double) -> NumberRange {
        NumberRange(lower: lower, includesLower: false, upper: upper, includesUpper: false)
    }

    func contains(_ value: Double) -> Bool {
        (includesLower ? value >= lower : value > lower) && (includesUpper ? value <= upper : value < upper)
    }

    var words: String {
        (includesLower ? "from " : "above ") + PlanDuration.plain(lower)
            + (includesUpper ? (includesLower ? " to " : " and at most ") : " and below ") + PlanDuration.plain(upper)
    }
}

/// Words a key may hold, each with its meaning, and words that a later version will know.
struct Choices<Value> {
    let known: [(word: String, value: Value)]
    var toCome: [String] = []
}

extension Choices where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    init(_ type: Value.Type, toCome: [String] = []) {
        self.init(known: Value.allCases.map { ($0.rawValue, $0) }, toCome: toCome)
    }
}

extension Choices where Value: CaseIterable {
    /// The cases by their names.
    static func named(_ type: Value.Type) -> Choices {
        Choices(known: Value.allCases.map { (String(describing: $0), $0) })
    }
}

extension PlanSection {
    func integer(_ key: String, _ range: ClosedRange<Int>) throws(PlanError) -> Int? {
        guard let entry = self[key] else { return nil }
        guard let value = entry.node.plainText.flatMap({ Int($0) }), range.contains(value) else {
            throw mismatch(key, "an integer from \(range.lowerBound) to \(range.upperBound)", entry)
        }
        return value
    }

    func integer(_ key: String, _ range: ClosedRange<Int>, default value: Int) throws(PlanError) -> Int {
        try integer(key, range) ?? value
    }

    func unsigned(_ key: String, default value: UInt64) throws(PlanError) -> UInt64 {
        guard let entry = self[key] else { return value }
        guard let value = entry.node.plainText.flatMap({ UInt64($0) }) else {
            throw mismatch(key, "an integer from 0 to \(UInt64.max)", entry)
        }
        return value
    }

    func number(_ key: String, _ range: NumberRange) throws(PlanError) -> Double? {
        guard let entry = self[key] else { return nil }
        guard let value = entry.node.plainText.flatMap({ Double($0) }), range.contains(value) else {
            throw mismatch(key, "a number \(range.words)", entry)
        }
        return value
    }

    func number(_ key: String, _ range: NumberRange, default value: Double) throws(PlanError) -> Double {
        try number(key, range) ?? value
    }

    /// Seconds.
    func duration(_ key: String, _ range: NumberRange, default value: Double) throws(PlanError) -> Double {
        guard let entry = self[key] else { return value }
        guard let seconds = entry.node.plainText.flatMap(PlanDuration.seconds), range.contains(seconds) else {
            throw mismatch(key, "a duration \(range.words) seconds, written like 90, 90s, 2m, 1h or 500ms", entry)
        }
        return seconds
    }

    /// Bytes.
    func size(_ key: String, _ range: ClosedRange<Int>) throws(PlanError) -> Int? {
        guard let entry = self[key] else { return nil }
        guard let bytes = entry.node.plainText.flatMap(PlanSize.bytes), range.contains(bytes) else {
            let (least, most) = (PlanSize.plain(range.lowerBound), PlanSize.plain(range.upperBound))
            throw mismatch(key, "a size from \(least) to \(most), written like 65536, 64KiB, 1MiB or 4GiB", entry)
        }
        return bytes
    }

    func size(_ key: String, _ range: ClosedRange<Int>, default value: Int) throws(PlanError) -> Int {
        try size(key, range) ?? value
    }

    /// Bytes per second.
    func rate(_ key: String, _ range: ClosedRange<Int>) throws(PlanError) -> Int? {
        guard let entry = self[key] else { return nil }
        guard let rate = entry.node.plainText.flatMap(PlanRate.bytesPerSecond), range.contains(rate) else {
            let (least, most) = (PlanSize.plain(range.lowerBound), PlanSize.plain(range.upperBound))
            throw mismatch(key, "a rate from \(least)/s to \(most)/s, written like 200KB/s or 1MiB/s", entry)
        }
        return rate
    }

    func boolean(_ key: String, default value: Bool) throws(PlanError) -> Bool {
        guard let entry = self[key] else { return value }
        switch entry.node.plainText {
        case "true": return true
        case "false": return false
        default: throw mismatch(key, "true or false", entry)
        }
    }

    /// Text of 1 to 4096 bytes without control characters.
    func text(_ key: String, _ wanted: String) throws(PlanError) -> String? {
        guard let entry = self[key] else { return nil }
        guard let scalar = entry.node.scalar, entry.node.summary != "no value", !scalar.string.isEmpty else {
            throw mismatch(key, wanted, entry)
        }
        guard scalar.string.utf8.count <= 4096, scalar.string == scalar.string.withoutControls else {
            throw error(key, "'\(key)' in \(place) must be one line of at most 4096 bytes")
        }
        return scalar.string
    }

    /// One of a set of words.
    func choice<Value>(_ key: String, _ choices: Choices<Value>) throws(PlanError) -> Value? {
        guard let entry = self[key] else { return nil }
        let words = choices.known.map(\.word)
        guard let word = entry.node.scalar?.string, entry.node.summary != "no value" else {
            throw mismatch(key, "one of " + words.joined(separator: ", "), entry)
        }
        if let match = choices.known.first(where: { $0.word == word }) { return match.value }
        if choices.toCome.contains(word) {
            throw error(
                key,
                "\(key) '\(word)' in \(place) is not available in this version; available: "
                    + words.joined(separator: ", "))
        }
        let mend = PlanSection.mend(word, in: words, listing: "available")
        throw error(key, "unknown \(key) '\(word.clipped)' in \(place); \(mend)")
    }

    func choice<Value>(_ key: String, _ choices: Choices<Value>, default value: Value) throws(PlanError) -> Value {
        try choice(key, choices) ?? value
    }

    /// A list of numbers.
    func numbers(_ key: String, _ range: NumberRange, counts: ClosedRange<Int>) throws(PlanError) -> [Double]? {
        guard let entry = self[key] else { return nil }
        guard let sequence = entry.node.sequence, counts.contains(sequence.count) else {
            throw mismatch(key, "a list of \(counts.lowerBound) to \(counts.upperBound) numbers", entry)
        }
        var values: [Double] = []
        for node in sequence {
            guard let value = node.plainText.flatMap({ Double($0) }), range.contains(value) else {
                throw error(key, "'\(key)' in \(place) must hold numbers \(range.words), found \(node.summary)")
            }
            values.append(value)
        }
        return values
    }

    /// A list of integers.
    func integers(
        _ key: String, _ range: ClosedRange<Int>, counts: [Int], meaning: String
    ) throws(PlanError) -> [Int]? {
        guard let entry = self[key] else { return nil }
        guard let sequence = entry.node.sequence, counts.contains(sequence.count) else {
            throw mismatch(key, meaning, entry)
        }
        var values: [Int] = []
        for node in sequence {
            guard let value = node.plainText.flatMap({ Int($0) }), range.contains(value) else {
                throw error(
                    key,
                    "'\(key)' in \(place) must hold integers from \(range.lowerBound) to \(range.upperBound), "
                        + "found \(node.summary)")
            }
            values.append(value)
        }
        return values
    }
}

extension PlanSection {
    /// A list of names, each at most 1024 bytes without control characters; empty when the key is not written.
    func names(_ key: String, atMost limit: Int = MessageLimits.excludedNames) throws(PlanError) -> [String] {
        guard let entry = self[key] else { return [] }
        guard let sequence = entry.node.sequence, (1...limit).contains(sequence.count) else {
            throw mismatch(key, "a list of 1 to \(limit) names", entry)
        }
        var names: [String] = []
        for node in sequence {
            guard let name = node.scalar?.string, node.summary != "no value", !name.isEmpty,
                name.utf8.count <= MessageLimits.textBytes, name == name.withoutControls
            else {
                throw error(
                    key,
                    "'\(key)' in \(place) must hold names of at most \(MessageLimits.textBytes) bytes, found \(node.summary)"
                )
            }
            names.append(name)
        }
        return names
    }
}

extension Node {
    /// The text of a scalar written without quotes: only that can be a number or a truth value.
    var plainText: String? {
        guard let scalar, scalar.style == .plain else { return nil }
        return scalar.string
    }
}

extension String {
    var withoutControls: String {
        String(String.UnicodeScalarView(unicodeScalars.filter { $0.properties.generalCategory != .control }))
    }
}

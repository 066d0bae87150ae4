import Tensors

extension DataSpec {
    static let optionNames =
        ["split", "shard", "holdout", "part", "partition", "seed", "limit", "samples", "scale", "mean", "std"]
        + imageOptionNames
        + tokenOptionNames + AugmentationOptions.optionNames

    /// The most shards, and the most samples of a synthetic set, that make sense.
    static let shardLimit = 10_000
    static let sampleLimit = 1_000_000
    /// The longest window, the most tokens, and the widest border and square, that make sense.
    static let windowLimit = 1 << 20
    static let vocabularyLimit = 1 << 24

    /// Reads a SPEC. `${NAME}` and `${NAME:-default}` are replaced from `environment`; as in a shell, a variable that
    /// is set but empty counts as missing where a default is given.
    /// - Throws: every `DataError` about SPECs; the message names the option and the nearest valid name.
    public init(parsing text: String, environment: [String: String]) throws(DataError) {
        let expanded = try Self.expand(text, environment: environment)
        guard let colon = expanded.firstIndex(of: ":") else {
            throw .malformedSpec(spec: text, reason: "a SPEC is KIND:PLACE, for instance idx:data/mnist")
        }
        let kindName = String(expanded[..<colon])
        guard let kind = Kind(rawValue: kindName) else {
            let nearest = NearestName.suggestion(for: kindName, in: Kind.allCases.map(\.rawValue))
            throw .unknownKind(spec: text, kind: kindName, nearest: nearest)
        }
        let rest = expanded[expanded.index(after: colon)...]
        let question = rest.firstIndex(of: "?")
        self.kind = kind
        path = String(rest[..<(question ?? rest.endIndex)])
        guard !path.isEmpty else { throw .malformedSpec(spec: text, reason: "no place is named after '\(kindName):'") }
        // Such a path could not be written down again: reading it would expand it.
        guard !path.contains("${") else {
            throw .malformedSpec(spec: text, reason: "the path holds '${' after expansion")
        }
        if kind == .synthetic { try SyntheticSet.check(path) }
        var given: Set<String> = []
        if let question { given = try readOptions(rest[rest.index(after: question)...], spec: text) }
        try checkOptions(given: given, spec: text)
    }

    /// - Returns: the options that were given.
    private mutating func readOptions(_ query: Substring, spec: String) throws(DataError) -> Set<String> {
        var seen: Set<String> = []
        for pair in query.split(separator: "&", omittingEmptySubsequences: false) {
            guard let equal = pair.firstIndex(of: "=") else {
                throw .malformedSpec(spec: spec, reason: "'\(pair)' is not of the form option=value")
            }
            let option = String(pair[..<equal])
            let value = String(pair[pair.index(after: equal)...])
            guard Self.optionNames.contains(option) else {
                let nearest = NearestName.suggestion(for: option, in: Self.optionNames)
                throw .unknownOption(spec: spec, option: option, nearest: nearest)
            }
            guard seen.insert(option).inserted else {
                throw .malformedSpec(spec: spec, reason: "option '\(option)' is given twice")
            }
            if let needed = set(option, to: value) {
                throw .invalidOption(spec: spec, option: option, value: value, needed: needed)
            }
        }
        return seen
    }

    /// - Returns: what the option needs, when `value` is not that.
    private mutating func set(_ option: String, to value: String) -> String? {
        switch option {
        case "split":
            split = Split(rawValue: value)
            return split == nil ? "train or test" : nil
        case "shard":
            shard = Self.shard(value)
            return shard == nil ? "k/n with k from 1 to n, for instance 2/8" : nil
        case "holdout":
            holdout = Self.count(value, upTo: .max)
            return holdout == nil ? "a whole number of at least 1" : nil
        case "part":
            guard let read = HoldoutPart(rawValue: value) else { return "private or public" }
            part = read
            return nil
        case "partition":
            guard let read = Self.partition(value) else {
                return "iid, contiguous, dirichlet:ALPHA (from 0.001 to 1000000) or classes:K (at least 1)"
            }
            partition = read
            return nil
        case "seed":
            guard let read = UInt64(value) else { return "a whole number from 0 to \(UInt64.max)" }
            seed = read
            return nil
        case "limit":
            limit = Self.count(value, upTo: .max)
            return limit == nil ? "a whole number of at least 1" : nil
        case "samples":
            samples = Self.count(value, upTo: Self.sampleLimit)
            return samples == nil ? "a whole number from 1 to \(Self.sampleLimit)" : nil
        case "scale":
            scale = Self.numbers(value)?.first
            return scale ?? 0 > 0 && !value.contains(",") ? nil : "one number above 0"
        case "mean":
            mean = Self.numbers(value)
            return mean == nil ? "one number, or one per channel separated by commas" : nil
        case "std":
            std = Self.numbers(value)
            return std?.allSatisfy { $0 > 0 } == true
                ? nil : "one number above 0, or one per channel separated by commas"
        default: return setSpecial(option, to: value)
        }
    }

    /// As `set`, for options that not all kinds have.
    private mutating func setSpecial(_ option: String, to value: String) -> String? {
        func wholeNumber(_ range: ClosedRange<Int>, _ set: (Int) -> Void) -> String? {
            guard let number = Int(value), range.contains(number) else {
                return "a whole number from \(range.lowerBound) to \(range.upperBound)"
            }
            set(number)
            return nil
        }
        switch option {
        case "size":
            size = ImageSize(value)
            return size == nil ? "a side or HEIGHTxWIDTH, from 1 to \(ImageSize.limit) pixels" : nil
        case "channels":
            channels = Self.count(value, upTo: 3)
            return channels == 1 || channels == 3 ? nil : "1 or 3"
        case "type":
            tokenFormat = TokenArray.Format(rawValue: value)
            return tokenFormat == nil ? TokenArray.Format.allCases.map(\.rawValue).joined(separator: ", ") : nil
        case "length": return wholeNumber(1...Self.windowLimit) { length = $0 }
        case "objective":
            objective = TokenObjective(rawValue: value)
            return objective == nil ? "next or masked" : nil
        case "mask": return wholeNumber(0...Self.vocabularyLimit - 1) { maskToken = $0 }
        case "vocabulary": return wholeNumber(1...Self.vocabularyLimit) { vocabulary = $0 }
        case "crop": return wholeNumber(1...ImageSize.limit) { augmentation.crop = $0 }
        case "flip":
            augmentation.flip = Bool(value)
            return augmentation.flip == nil ? "true or false" : nil
        case "cutout": return wholeNumber(1...ImageSize.limit) { augmentation.cutout = $0 }
        case "mixup":
            augmentation.mixup = Self.numbers(value)?.first
            let isValid = (0.001...1_000).contains(augmentation.mixup ?? 0) && !value.contains(",")
            return isValid ? nil : "one number from 0.001 to 1000"
        default: preconditionFailure("option '\(option)' has no reader")
        }
    }

    private static func count(_ text: String, upTo limit: Int) -> Int? {
        Int(text).flatMap { $0 >= 1 && $0 <= limit ? $0 : nil }
    }

    private static func numbers(_ text: String) -> [Double]? {
        let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
        guard numbers.allSatisfy({ $0?.isFinite == true }) else { return nil }
        return numbers.compactMap { $0 }
    }

    private static func shard(_ text: String) -> Shard? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let index = Int(parts[0]), let count = count(String(parts[1]), upTo: shardLimit),
            index >= 1, index <= count
        else { return nil }
        return Shard(index: index, count: count)
    }

    private static func partition(_ text: String) -> Partition? {
        if text == "iid" { return .iid }
        if text == "contiguous" { return .contiguous }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "dirichlet":
            guard let alpha = Double(parts[1]), alpha >= 0.001, alpha <= 1e6 else { return nil }
            return .dirichlet(alpha)
        case "classes": return count(String(parts[1]), upTo: .max).map { .classes($0) }
        default: return nil
        }
    }

    private static func expand(_ text: String, environment: [String: String]) throws(DataError) -> String {
        var expanded = ""
        var rest = text[...]
        while let open = rest.firstRange(of: "${") {
            expanded += rest[..<open.lowerBound]
            guard let close = rest[open.upperBound...].firstIndex(of: "}") else {
                throw .malformedSpec(spec: text, reason: "'${' has no closing '}'")
            }
            let inner = rest[open.upperBound..<close]
            let separator = inner.firstRange(of: ":-")
            let name = String(inner[..<(separator?.lowerBound ?? inner.endIndex)])
            guard !name.isEmpty else { throw .malformedSpec(spec: text, reason: "'${' names no variable") }
            if let separator {
                let value = environment[name] ?? ""
                expanded += value.isEmpty ? String(inner[separator.upperBound...]) : value
            } else {
                guard let value = environment[name] else { throw .missingVariable(spec: text, name: name) }
                expanded += value
            }
            rest = rest[rest.index(after: close)...]
        }
        return expanded + rest
    }
}

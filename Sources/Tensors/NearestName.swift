/// Finds what a mistyped word was probably meant to be, for "did you mean" in errors.
public enum NearestName {
    /// The candidate nearest to `word` by edits (insert, delete, change, swap neighbours; case counts for nothing), or
    /// nil when none is near: more than a third of its letters (2 at least) would have to change. Ties go to the first.
    public static func suggestion(for word: String, in candidates: [String]) -> String? {
        // A word longer than any name is no typing error, and the table below is quadratic.
        guard word.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = editDistance(word.lowercased(), candidate.lowercased())
            guard distance <= max(2, candidate.count / 3), distance < candidate.count else { continue }
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// `; did you mean 'NAME'?`, to end an error with; empty when nothing is near.
    public static func hint(for word: String, in candidates: [String]) -> String {
        suggestion(for: word, in: candidates).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// Optimal string alignment, the restricted Damerau-Levenshtein distance.
    static func editDistance(_ first: String, _ second: String) -> Int {
        let a = Array(first)
        let b = Array(second)
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1] + [Int](repeating: 0, count: b.count)
            for j in b.indices {
                row[j + 1] = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                guard i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] else { continue }
                row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}

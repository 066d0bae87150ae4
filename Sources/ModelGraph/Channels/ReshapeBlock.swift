/// Neighbouring axes that a Reshape turns into other neighbouring axes of the same product, both written as products of the
/// same parts: [E] to [heads, d] has the parts heads and d. Axes of extent 1 belong to no block.
struct ReshapeBlock {
    /// The axes of the input and of the output.
    let before: [Int]
    let after: [Int]
    /// The extents of the parts, outermost first.
    let parts: [Int]
    /// For each axis of `before` and of `after`: its parts.
    let partsBefore: [Range<Int>]
    let partsAfter: [Range<Int>]

    /// The blocks of a Reshape, or nil where the borders of the axes do not fit into each other.
    static func blocks(_ before: [Int], _ after: [Int]) -> [ReshapeBlock]? {
        guard !before.contains(0), !after.contains(0) else { return nil }
        let (a, b) = (before.indices.filter { before[$0] > 1 }, after.indices.filter { after[$0] > 1 })
        var (i, j) = (0, 0)
        var blocks: [ReshapeBlock] = []
        while i < a.count, j < b.count {
            var (axesA, axesB) = ([a[i]], [b[j]])
            // Products of extents of one value: they fit 63 bits.
            var (productA, productB) = (before[a[i]], after[b[j]])
            (i, j) = (i + 1, j + 1)
            while productA != productB {
                if productA < productB {
                    guard i < a.count else { return nil }
                    axesA.append(a[i])
                    productA *= before[a[i]]
                    i += 1
                } else {
                    guard j < b.count else { return nil }
                    axesB.append(b[j])
                    productB *= after[b[j]]
                    j += 1
                }
            }
            guard let block = ReshapeBlock(axesA, axesA.map { before[$0] }, axesB, axesB.map { after[$0] }) else {
                return nil
            }
            blocks.append(block)
        }
        return i == a.count && j == b.count ? blocks : nil
    }

    private init?(_ before: [Int], _ extentsBefore: [Int], _ after: [Int], _ extentsAfter: [Int]) {
        func borders(_ extents: [Int]) -> [Int] {
            var product = 1
            return extents.map { extent in
                product *= extent
                return product
            }
        }
        let (bordersBefore, bordersAfter) = (borders(extentsBefore), borders(extentsAfter))
        let all = Set(bordersBefore + bordersAfter).sorted()
        var parts: [Int] = []
        var last = 1
        for border in all {
            guard border % last == 0 else { return nil }
            parts.append(border / last)
            last = border
        }
        func ranges(_ borders: [Int]) -> [Range<Int>] {
            var start = 0
            return borders.map { border in
                let end = (all.firstIndex(of: border) ?? 0) + 1
                defer { start = end }
                return start..<end
            }
        }
        (self.before, self.after, self.parts) = (before, after, parts)
        (partsBefore, partsAfter) = (ranges(bordersBefore), ranges(bordersAfter))
    }

    /// The parts along which an axis of the input may lose elements, the likeliest first. The last axis holds [heads, size]
    /// or [3, heads, size]; others hold the channels of a map, of which there are more than groups of them.
    func candidates(_ place: Int, isLast: Bool) -> [Int] {
        let own = Array(partsBefore[place])
        let bySize = own.sorted { (parts[$0], $1) > (parts[$1], $0) }
        guard isLast, own.count > 1 else { return bySize }
        let likely = [own[own.count - 2], own[own.count - 1]]
        return likely + bySize.filter { !likely.contains($0) }
    }

    /// How many elements of an axis lie behind one step along a part.
    private func stride(_ part: Int, in range: Range<Int>) -> Int {
        parts[(part + 1)..<range.upperBound].reduce(1, *)
    }

    /// Where an element of an axis lies along one of the axis's parts.
    func coordinate(_ place: Int, along part: Int, in range: Range<Int>) -> Int {
        place / stride(part, in: range) % parts[part]
    }

    /// The first element of an axis at a coordinate along a part.
    func firstPlace(of coordinate: Int, _ part: Int, in range: Range<Int>) -> Int {
        coordinate * stride(part, in: range)
    }
}

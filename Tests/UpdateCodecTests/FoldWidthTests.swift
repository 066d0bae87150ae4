import Tensors
import Testing

@testable import UpdateCodec

/// Contributions of narrower models against sums and weights kept for each element.
struct FoldWidthTests {
    /// A model, three widths within it, and updates of all of them.
    private struct Sample {
        let layouts: NestedLayouts
        var random: SeededGenerator

        /// Tensors that all widths have, cut along none, one or two axes, and some that narrower ones have not.
        init(seed: UInt64) throws {
            random = SeededGenerator(seed: seed, labels: "widths")
            let whole: [(name: String, shape: Shape)] = [
                ("kernel", [12, 9, 3, 3]), ("matrix", [33, 130]), ("bias", [12]), ("scalar", []), ("empty", [0, 4]),
                ("middle", [5, 11, 7]), ("statistic", [12]), ("large", [9000, 3]), ("gone", [6]),
            ]
            let cut = ["kernel": [0, 1], "matrix": [1], "bias": [0], "middle": [1], "large": [0, 1], "gone": [0]]
            var narrow: [NarrowLayout] = []
            var left = whole.reduce(into: [String: [Int: [Int]]]()) { kept, entry in
                for axis in cut[entry.name] ?? [] {
                    kept[entry.name, default: [:]][axis] = Array(0..<entry.shape[axis])
                }
            }
            for width in 1...3 {
                for (name, axes) in left.sorted(by: { $0.key < $1.key }) {
                    for axis in axes.keys.sorted() {
                        let all = left[name]?[axis] ?? []
                        let count = max(1, all.count * Int.random(in: 4...9, using: &random) / 10)
                        left[name]?[axis] = Array(all.shuffled(using: &random).prefix(count)).sorted()
                    }
                }
                let names = whole.filter { $0.name != "statistic" && !($0.name == "gone" && width > 1) }
                narrow.append(
                    NarrowLayout(
                        layout: TensorLayout(
                            try names.map { name, shape in
                                var extents = shape.dimensions
                                for (axis, indices) in left[name] ?? [:] { extents[axis] = indices.count }
                                return (name: name, shape: try Shape(extents))
                            }), kept: left))
            }
            layouts = try NestedLayouts(whole: TensorLayout(whole), narrow: narrow)
        }

        func layout(_ width: Int) -> TensorLayout {
            width == 0 ? layouts.whole : layouts.narrow[width - 1].layout
        }

        mutating func update(_ width: Int, _ scheme: WireScheme, masked: Bool) throws -> UpdateReader {
            let layout = layout(width)
            var bitmaps: [String: Bitmap] = [:]
            var tensors = NamedTensors()
            for entry in layout.entries {
                tensors[entry.name] = Tensor(
                    (0..<entry.elementCount).map { _ in random.uniform() - 0.5 }, shape: entry.shape)
                guard masked, entry.name == "kernel" || entry.name == "large" else { continue }
                bitmaps[entry.name] = Fixtures.bitmap(entry.elementCount, density: 0.5, seed: random.next())
            }
            let masks = MaskSet(epoch: 3, bitmaps: bitmaps)
            masks.apply(to: &tensors)
            let bytes = try UpdateEncoder.encode(
                tensors, header: Fixtures.header(maskEpoch: 3), scheme: scheme, masks: masks, seed: random.next()
            ).bytes
            return try UpdateReader(bytes, layout: layout, masks: masks)
        }
    }

    /// Every element's sum and weight, one by one.
    private static func reference(
        _ sample: Sample, _ updates: [(reader: UpdateReader, weight: UInt32, width: Int)]
    ) throws -> [[Float]] {
        var sums = sample.layouts.whole.entries.map { [Int64](repeating: 0, count: $0.elementCount) }
        var weights = sample.layouts.whole.entries.map { [UInt64](repeating: 0, count: $0.elementCount) }
        for (reader, weight, width) in updates {
            for (name, tensor) in try reader.decode().ordered {
                let index = try #require(sample.layouts.whole.entries.firstIndex { $0.name == name })
                let whole = sample.layouts.whole.entries[index].shape.dimensions
                let kept = width == 0 ? [:] : sample.layouts.narrow[width - 1].kept[name] ?? [:]
                for (element, value) in tensor.floats.enumerated() {
                    var (rest, place, stride) = (element, 0, 1)
                    for axis in whole.indices.reversed() {
                        let narrow = rest % tensor.shape[axis]
                        rest /= tensor.shape[axis]
                        place += (kept[axis]?[narrow] ?? narrow) * stride
                        stride *= whole[axis]
                    }
                    sums[index][place] += Int64(weight) * Int64((Double(value) * 0x1p30).rounded(.toNearestOrEven))
                    weights[index][place] += UInt64(weight)
                }
            }
        }
        return zip(sums, weights).map { sums, weights in
            zip(sums, weights).map { $1 == 0 ? 0 : Float(Double($0) / (Double($1) * 0x1p30)) }
        }
    }

    private static let schemes = [
        WireScheme(values: .float32, smallValues: .float32), WireScheme(values: .int8), WireScheme(values: .ternary),
        WireScheme(selection: .topK(density: 0.3), values: .int4), WireScheme(selection: .topK(density: 0.9)),
    ]

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func anyOrderGivesTheMeanOfThoseThatHaveAnElement(seed: UInt64)
        throws
    {
        var sample = try Sample(seed: seed)
        // With an odd seed nobody has the whole model.
        let widths = (0..<7).map { _ in Int.random(in: (seed % 2 == 0 ? 0 : 1)...3, using: &sample.random) }
        var updates: [(reader: UpdateReader, weight: UInt32, width: Int)] = []
        for width in widths {
            let scheme = try #require(Self.schemes.randomElement(using: &sample.random))
            updates.append(
                (
                    try sample.update(width, scheme, masked: seed > 3),
                    UInt32.random(in: 1...5000, using: &sample.random), width
                ))
        }
        let expected = try Self.reference(sample, updates).map { $0.map(\.bitPattern) }
        for threads in [1, 3] {
            updates.shuffle(using: &sample.random)
            var fold = FoldAccumulator(layout: sample.layouts.whole, nested: sample.layouts)
            for update in updates {
                try fold.add(update.reader, weight: update.weight, width: update.width, threads: threads)
            }
            #expect(fold.totalWeight == updates.reduce(0) { $0 + UInt64($1.weight) })
            #expect(Fixtures.bitPatterns(fold.mean()) == expected)
            try checkGaps(of: fold, sample, updates.map(\.width))
            var drained: [[UInt32]] = expected.map { _ in [] }
            (consume fold).drainMean(pieceLength: 1000) { tensor, _, piece in drained[tensor] += piece.map(\.bitPattern)
            }
            #expect(drained == expected)
        }
    }

    /// Gaps are what no width that came has.
    private func checkGaps(of fold: FoldAccumulator, _ sample: Sample, _ widths: [Int]) throws {
        guard let gaps = fold.gaps else { return #expect(widths.contains(0)) }
        for (index, entry) in sample.layouts.whole.entries.enumerated() {
            let elements = Set(gaps.elements(ofTensor: index, in: 0..<entry.elementCount).joined())
            for element in 0..<entry.elementCount {
                let isHad = widths.contains { $0 <= sample.layouts.levels[index].level(of: element) }
                #expect(elements.contains(element) == !isHad)
            }
        }
    }

    @Test func wholeContributionsAloneGiveTheBytesOfAFoldWithoutWidths() throws {
        var sample = try Sample(seed: 9)
        var plain = FoldAccumulator(layout: sample.layouts.whole)
        var nested = FoldAccumulator(layout: sample.layouts.whole, nested: sample.layouts)
        for weight in [3, 11, 500] as [UInt32] {
            let update = try sample.update(0, WireScheme(values: .int8), masked: false)
            try plain.add(update, weight: weight)
            try nested.add(update, weight: weight)
        }
        #expect(Fixtures.bitPatterns(plain.mean()) == Fixtures.bitPatterns(nested.mean()))
        #expect(nested.gaps == nil)
    }

    @Test func anotherWidthThanTheUpdateSaysIsRefusedAndChangesNothing() throws {
        var sample = try Sample(seed: 4)
        var fold = FoldAccumulator(layout: sample.layouts.whole, nested: sample.layouts)
        let update = try sample.update(2, WireScheme(), masked: false)
        for width in [0, 1, 3, 4, -1] {
            #expect(throws: CodecError.self) { try fold.add(update, weight: 1, width: width) }
        }
        #expect(fold.totalWeight == 0)
        #expect(Fixtures.bitPatterns(fold.mean()).allSatisfy { $0.allSatisfy { $0 == 0 } })
    }

    @Test func widthsThatAreNotNestedAreRefused() throws {
        let whole = TensorLayout([(name: "x", shape: [4, 2] as Shape)])
        func narrow(_ kept: [Int], _ extents: Shape, _ name: String = "x") -> NarrowLayout {
            NarrowLayout(layout: TensorLayout([(name: name, shape: extents)]), kept: ["x": [0: kept]])
        }
        _ = try NestedLayouts(whole: whole, narrow: [narrow([0, 2, 3], [3, 2]), narrow([0, 3], [2, 2])])
        for widths in [
            [narrow([0, 2], [2, 2]), narrow([0, 1], [2, 2])], [narrow([0, 4], [2, 2])], [narrow([2, 0], [2, 2])],
            [narrow([0, 1], [3, 2])], [narrow([0, 1], [2, 1])], [narrow([0, 1], [2])],
            [narrow([0, 1], [2, 2], "y")], [narrow([0], [1, 2]), narrow([0, 1, 2, 3], [4, 2])],
            [narrow([-1, 1], [2, 2])],
        ] {
            #expect(throws: CodecError.self) { try NestedLayouts(whole: whole, narrow: widths) }
        }
    }
}

import Testing
import UpdateCodec

@testable import Federation

private func digest(_ byte: UInt8) -> Digest { CoordinatorMachineTests.digest(byte) }

private func offer(_ scheme: WireScheme) -> TaskOffer {
    let blob = BlobReference(digest: digest(1), byteCount: 9)
    return TaskOffer(
        round: 1, leaseSeconds: 30, seed: 2,
        snapshot: SnapshotReference(version: 0, snapshot: blob, graph: blob, maskEpoch: 0),
        scheme: scheme, acceptedRounds: 0, work: .calibrate(samples: 1, QuantizationScope()))
}

/// A scheme on its way to a worker.
@Suite struct SchemeMessageTests {
    private func returned(_ scheme: WireScheme) throws -> WireScheme? {
        let bytes = CoordinatorMessage.task(offer(scheme)).encoded()
        guard case .task(let offer) = try CoordinatorMessage(decoding: bytes) else { return nil }
        return offer.scheme
    }

    @Test func everyFieldSurvives() throws {
        let unusual = WireSchemeSample.unusual
        #expect(try returned(unusual) == unusual)
        // A field that is left out of the message would come back as its default.
        let fields = zip(Mirror(reflecting: unusual).children, Mirror(reflecting: WireScheme()).children)
        for (field, standard) in fields {
            #expect("\(field.value)" != "\(standard.value)", "\(field.label ?? "") has its default")
        }
        #expect(try returned(WireScheme()) == WireScheme())
    }

    @Test func everyWordSurvives() throws {
        for values in ValueFormat.allCases {
            #expect(
                try returned(WireScheme(values: values, smallValues: values))
                    == WireScheme(values: values, smallValues: values))
        }
        for method in SelectionMethod.allCases {
            let scheme = WireScheme(selection: .topK(density: 0.5, method: method))
            #expect(try returned(scheme) == scheme)
        }
        for scaling in Scaling.allCases { #expect(try returned(WireScheme(scaling: scaling))?.scaling == scaling) }
        for coding in Coding.allCases { #expect(try returned(WireScheme(coding: coding))?.coding == coding) }
        for levels in CodebookLevels.allCases { #expect(try returned(WireScheme(levels: levels))?.levels == levels) }
    }

    /// What a scheme may hold and nothing beyond.
    static let hostile: [(field: String, change: @Sendable (inout Pleach_V1_Scheme) -> Void)] = [
        ("density", { $0.density = .nan }), ("density", { $0.density = 1.5 }), ("density", { $0.density = -0.1 }),
        ("values", { $0.values = 12 }), ("values", { $0.values = 256 }), ("values", { $0.values = .max }),
        ("small_values", { $0.smallValues = 12 }), ("rounding", { $0.rounding = 2 }),
        ("selection", { $0.selection = 3 }),
        ("selection", { $0.selection = 256 }), ("scaling", { $0.scaling = 3 }), ("levels", { $0.levels = 2 }),
        ("coding", { $0.coding = 3 }), ("block_size", { $0.blockSize = 0 }), ("block_size", { $0.blockSize = .max }),
        ("small_tensor_elements", { $0.smallTensorElements = 1 << 24 + 1 }), ("budget", { $0.budget = 4 << 30 + 1 }),
        ("budget", { $0.budget = .max }), ("momentum", { $0.momentum = 1 }), ("momentum", { $0.momentum = -0.5 }),
        ("momentum", { $0.momentum = .nan }), ("momentum", { $0.momentum = .infinity }),
        ("clip_norm", { $0.clipNorm = -1 }), ("clip_norm", { $0.clipNorm = .nan }),
        ("clip_norm", { $0.clipNorm = .infinity }),
    ]

    @Test(arguments: hostile.indices) func whatIsOutOfRangeIsRefused(index: Int) throws {
        let (field, change) = Self.hostile[index]
        var message = try Pleach_V1_CoordinatorMessage(
            serializedBytes: CoordinatorMessage.task(offer(WireScheme())).encoded())
        _ = try CoordinatorMessage(decoding: message.serializedBytes())
        change(&message.task.scheme)
        let bytes: [UInt8] = try message.serializedBytes()
        let error = #expect(throws: MessageError.self) { try CoordinatorMessage(decoding: bytes) }
        #expect(error.map { "\($0)".contains("scheme.\(field) ") } == true, "\(String(describing: error))")
    }
}

// swift-tools-version: 6.2
// The fuzzers (`make fuzz`): the decoders built with libFuzzer's coverage, apart from the product, which never links it.
// `Sources` is the product's own folder.
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "fuzzing",
    dependencies: [
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .systemLibrary(name: "CLZ4"), .systemLibrary(name: "CZlib"), .systemLibrary(name: "CZeroMQ"),
        .target(name: "Transport", dependencies: ["CZeroMQ"], swiftSettings: strict),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"])]),
        .target(
            name: "CImages", cSettings: [.unsafeFlags(["-O3"])],
            linkerSettings: [.linkedLibrary("turbojpeg"), .linkedLibrary("spng")]),
        .target(name: "Tensors", dependencies: ["CZlib"], swiftSettings: strict),
        .target(name: "UpdateCodec", dependencies: ["Tensors", "CKernels", "CLZ4"], swiftSettings: strict),
        .target(
            name: "ModelGraph",
            dependencies: ["Tensors", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            swiftSettings: strict),
        .target(
            name: "Federation",
            dependencies: [
                "Tensors", "UpdateCodec", "Yams", .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: strict),
        // Only the files that read what workers send: the rest of the target needs libtorch.
        .target(
            name: "Compression", dependencies: ["Tensors", "ModelGraph"],
            sources: [
                "CalibrationDescription.swift", "CalibrationSet.swift", "ActivationHistogram.swift",
                "CompressionError.swift", "StructureChange.swift", "KeptTensors.swift",
                "LowRank/MomentSet.swift",
                "LowRank/MomentDescription.swift", "LowRank/MomentLayout.swift", "LowRank/FactorizableLayer.swift",
                "LowRank/FactorizationMethod.swift", "LowRank/LayerSelection.swift",
                "LowRank/Graph+FactorizableLayers.swift",
            ],
            swiftSettings: strict),
        .target(
            name: "FuzzDecoders",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Federation", "Compression", "Transport", "CImages",
            ],
            path: "Decoders", swiftSettings: strict),
        .executableTarget(name: "fuzz", dependencies: ["FuzzDecoders"], path: "Fuzz", swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)

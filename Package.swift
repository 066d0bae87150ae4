// swift-tools-version: 6.2
// The folder tree is the architecture: each target lists exactly what it may import (see ARCHITECTURE.md).
import PackageDescription

// Debian's libtorch unless LIBTORCH names another (for instance a pip wheel's `torch` folder, which makes GPUs usable).
let libtorch = Context.environment["LIBTORCH"]
let torchFlags: [String] = libtorch.map { ["-I\($0)/include", "-I\($0)/include/torch/csrc/api/include"] } ?? []
let torchLinkFlags: [String] = libtorch.map { ["-L\($0)/lib", "-Xlinker", "-rpath", "-Xlinker", "\($0)/lib"] } ?? []

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "pleach",
    products: [.executable(name: "pleach", targets: ["pleach"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // Leaves: system libraries and plain C or C++.
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CLZ4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .target(
            name: "CTorch",
            cxxSettings: [.unsafeFlags(torchFlags + ["-Wno-everything"])],
            linkerSettings: [
                .unsafeFlags(torchLinkFlags),
                .linkedLibrary("torch"), .linkedLibrary("torch_cpu"), .linkedLibrary("c10"),
            ]),
        .target(
            name: "CImages", cSettings: [.unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror"])],
            linkerSettings: [.linkedLibrary("turbojpeg"), .linkedLibrary("spng")]),
        .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror"])]),

        // Values and formats.
        .target(name: "Tensors", dependencies: ["CZlib"], swiftSettings: strict),
        .target(name: "UpdateCodec", dependencies: ["Tensors", "CKernels", "CLZ4"], swiftSettings: strict),
        .target(
            name: "ModelGraph",
            dependencies: ["Tensors", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            swiftSettings: strict),

        // Numerics.
        .target(name: "Engine", dependencies: ["Tensors", "ModelGraph", "CTorch", "CImages"], swiftSettings: strict),
        .target(name: "Compression", dependencies: ["Tensors", "ModelGraph", "Engine"], swiftSettings: strict),

        // The protocol as pure values.
        .target(
            name: "Federation",
            dependencies: [
                "Tensors", "UpdateCodec", "Yams",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: strict),

        // Input and output.
        .target(name: "Transport", dependencies: ["CZeroMQ"], swiftSettings: strict),
        .target(
            name: "Ledger",
            dependencies: [
                "Tensors", "Federation", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .target(
            name: "Monitor",
            dependencies: [
                "UpdateCodec", "Federation", .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),

        // Shells and the command line.
        .target(
            name: "Shell",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger",
            ],
            swiftSettings: strict),
        .target(
            name: "Coordinator",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger",
                "Monitor", "Shell",
            ],
            swiftSettings: strict),
        .target(
            name: "Worker",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger",
                "Monitor", "Shell",
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "pleach",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Engine", "Compression", "Federation", "Transport", "Ledger",
                "Monitor", "Shell", "Coordinator", "Worker",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Tests.
        .target(name: "Simulation", dependencies: ["Federation"], path: "Tests/Simulation", swiftSettings: strict),
        .executableTarget(
            name: "pleach-simulate", dependencies: ["Simulation"], path: "Tests/SimulationRunner", swiftSettings: strict
        ),
        .target(name: "EventSchema", path: "Tests/EventSchema", swiftSettings: strict),
        .target(
            name: "FuzzDecoders",
            dependencies: [
                "Tensors", "UpdateCodec", "ModelGraph", "Federation", "Compression", "Transport", "CImages",
            ],
            path: "Tests/Fuzzing/Decoders", swiftSettings: strict),
        .executableTarget(
            name: "pleach-fuzz", dependencies: ["FuzzDecoders"], path: "Tests/Fuzzing/Runner", swiftSettings: strict),
        .testTarget(
            name: "FuzzingTests", dependencies: ["FuzzDecoders", "pleach-fuzz"], exclude: ["Regressions"]),
        .target(
            name: "Chaos", dependencies: ["Tensors", "Federation", "Ledger"], path: "Tests/Chaos/Harness",
            swiftSettings: strict),
        .executableTarget(
            name: "pleach-chaos", dependencies: ["Chaos"], path: "Tests/Chaos/Runner", swiftSettings: strict),
        .executableTarget(
            name: "pleach-conformance", dependencies: ["Tensors", "ModelGraph", "Engine"],
            path: "Tests/conformance/Runner", swiftSettings: strict),
        .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
        .testTarget(name: "CKernelsTests", dependencies: ["CKernels", "Tensors"]),
        .testTarget(name: "UpdateCodecTests", dependencies: ["UpdateCodec"]),
        .testTarget(name: "ModelGraphTests", dependencies: ["ModelGraph"]),
        .testTarget(name: "EngineTests", dependencies: ["Engine", "CImages"], exclude: ["reference"]),
        .testTarget(name: "CompressionTests", dependencies: ["Compression"]),
        .testTarget(name: "FederationTests", dependencies: ["Federation", "Simulation"]),
        .testTarget(name: "TransportTests", dependencies: ["Transport"]),
        .testTarget(name: "LedgerTests", dependencies: ["Ledger"]),
        .testTarget(
            name: "CoordinatorTests",
            dependencies: ["Coordinator", "Worker", "Federation", "Ledger", "Transport", "Shell"]),
        .testTarget(name: "WorkerTests", dependencies: ["Worker", "CImages"]),
        .testTarget(name: "MonitorTests", dependencies: ["Monitor", "Simulation", "EventSchema"]),
        .testTarget(
            name: "SystemTests",
            dependencies: [
                "pleach", "Chaos", "EventSchema", "Tensors", "UpdateCodec", "ModelGraph", "Federation", "Transport",
                "Ledger",
            ]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: libtorch == nil ? .cxx17 : .cxx20
)

// pleach-fuzz TARGET --iterations N --seed S --input FILE: decodes N mutants. The mutant at work stands in FILE (8 bytes of
// length, then the bytes), which outlives a trap: whoever started this process finds the culprit there.
// pleach-fuzz TARGET --replay FILE...: decodes files. Ends by signal 14 when one input takes over ten seconds.

import Foundation
import FuzzDecoders

private func fail(_ text: String) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(2)
}

private let arguments = Array(CommandLine.arguments.dropFirst())
guard let name = arguments.first, let target = FuzzTarget(rawValue: name) else {
    fail("targets: \(FuzzTarget.allCases.map(\.rawValue).joined(separator: " "))")
}

private func option(_ name: String) -> String? {
    arguments.firstIndex(of: "--\(name)").flatMap { arguments.indices.contains($0 + 1) ? arguments[$0 + 1] : nil }
}

private func peakBytes() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss << 10
}

/// Decodes one input within its bounds of time and memory.
private func decode(_ bytes: [UInt8]) {
    alarm(10)
    let before = peakBytes()
    target.decode(bytes)
    let grown = peakBytes() - before
    guard grown <= FuzzTarget.memoryBytes else { fatalError("\(bytes.count) bytes took \(grown >> 20) MiB") }
}

if let index = arguments.firstIndex(of: "--replay") {
    for path in arguments[(index + 1)...] {
        guard let data = FileManager.default.contents(atPath: path) else { fail("cannot read \(path)") }
        decode(Array(data))
    }
    exit(0)
}
guard let iterations = option("iterations").flatMap({ Int($0) }), let seed = option("seed").flatMap({ UInt64($0) }),
    let path = option("input")
else { fail("--iterations, --seed and --input are needed, or --replay") }
private let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
private let room = FuzzTarget.inputBytes + 8
guard descriptor >= 0, ftruncate(descriptor, off_t(room)) == 0,
    let shared = mmap(nil, room, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), shared != MAP_FAILED
else { fail("cannot map \(path)") }
private let seeds = target.seeds()
for bytes in seeds { decode(bytes) }
private var mutator = Mutator(seeds: seeds, seed: seed)
private let began = Date()
for _ in 0..<iterations {
    let bytes = mutator.next()
    shared.storeBytes(of: UInt64(bytes.count).littleEndian, as: UInt64.self)
    bytes.withUnsafeBytes { source in
        if let base = source.baseAddress { (shared + 8).copyMemory(from: base, byteCount: source.count) }
    }
    decode(bytes)
}
print(
    "\(target): \(iterations) inputs, \(Int(Double(iterations) / max(Date().timeIntervalSince(began), 1e-6))) a second")

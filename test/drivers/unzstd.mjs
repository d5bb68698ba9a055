// Decompresses stdin, for tar.
import { createZstdDecompress } from 'node:zlib'

process.stdin.pipe(createZstdDecompress()).pipe(process.stdout)

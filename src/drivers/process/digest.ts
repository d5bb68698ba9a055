/** The digest of a release: a hash over one line for each entry of its tree and one for the release itself, in a fixed order. Blocks, so it runs in a thread. */
import { createHash, hash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { PortError } from '../../platform/errors.ts'
import type { Draft } from './release.ts'
import { type TreeEntry, walk } from './tree.ts'

const reportEvery = 10_000

/** Throws PortError NO_CAPACITY if the tree is too large. */
export function measure(
  tree: string,
  draft: Draft,
  releaseBytes: number,
  say: (text: string) => void,
): { digest: string; sizeBytes: number } {
  const entries = [...walk(tree)]
  const files = entries.filter(({ type }) => type === 'file').length
  const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0)
  if (sizeBytes > releaseBytes) {
    throw new PortError('NO_CAPACITY', `The release exceeds the limit of ${releaseBytes} bytes.`, {
      hint: 'Remove files that are not needed at run time, such as caches and test data, or increase the quota.',
    })
  }
  say(`Storing ${files} files, ${Math.ceil(sizeBytes / 1024)} KiB.`)
  const digest = createHash('sha256')
  const line = (...words: (string | number | null)[]) => digest.update(`${JSON.stringify(words)}\n`)
  line('release', draft.deploymentId, draft.kind, draft.workingDirectory, draft.startCommand)
  let stored = 0
  for (const entry of entries) {
    if (entry.type === 'directory') line('directory', entry.path)
    if (entry.type === 'link') line('link', entry.path, readlinkSync(entry.absolute))
    if (entry.type !== 'file') continue
    line('file', entry.path, (entry.mode & 0o111) === 0 ? 'plain' : 'executable', fileHash(entry))
    stored++
    if (stored % reportEvery === 0 && stored < files) say(`Stored ${stored} of ${files} files.`)
  }
  return { digest: `sha256:${digest.digest('hex')}`, sizeBytes }
}

const wholeBytes = 1 << 20

function fileHash({ absolute, sizeBytes }: TreeEntry): string {
  if (sizeBytes <= wholeBytes) return hash('sha256', readFileSync(absolute), 'hex')
  const content = createHash('sha256')
  const file = openSync(absolute, 'r')
  try {
    const part = Buffer.allocUnsafe(wholeBytes)
    for (let length = readSync(file, part); length > 0; length = readSync(file, part)) content.update(part.subarray(0, length))
  } finally {
    closeSync(file)
  }
  return content.digest('hex')
}

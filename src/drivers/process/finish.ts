/**
 * Turns a built tree into the contents of a release: the files that a site publishes, their compressed copies, and the digest. All of it
 * blocks, so it runs in a thread (thread.ts) and reports its progress line by line.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PortError } from '../../platform/errors.ts'
import { measure } from './digest.ts'
import { encodeTree } from './encode.ts'
import { movePublished, publishedDirectory } from './publish.ts'
import type { Draft, Manifest } from './release.ts'
import { directoryInside, findEscapingLink, findSpecialFile, isErrno, removeTree, tidy, walk } from './tree.ts'

type Say = (text: string) => void

export type FinishRequest = {
  /** The built tree. */
  tree: string
  draft: Omit<Draft, 'kind' | 'workingDirectory'>
  workingDirectory: string
  releaseBytes: number
  /** For a site: where to put the published files and their compressed copies. Null for an application, which keeps its whole tree. */
  site: { declared: string | null; builtSince: number | null; target: string; encoded: string } | null
  /** Path of the tree as the build commands saw it. */
  app: string
}

export const treeWork = {
  /** The first link that points outside the tree, or null. */
  escapingLink: (root: string): string | null => findEscapingLink(root),

  /** Prepares the tree to store, and its manifest. Throws PortError for a tree that cannot be stored. */
  async finish(request: FinishRequest, say: Say): Promise<{ tree: string; encoded: string | null; manifest: Manifest }> {
    const { tree, workingDirectory, site, releaseBytes } = request
    tidy(tree)
    if (site === null) {
      await makeVenvRelocatable(tree, workingDirectory, request.app)
      const draft: Draft = { ...request.draft, kind: 'app', workingDirectory }
      return { tree, encoded: null, manifest: { ...draft, ...measure(tree, draft, releaseBytes, say) } }
    }
    const published = await publishedDirectory(join(tree, workingDirectory), site)
    const escaping = findEscapingLink(published.directory)
    if (escaping !== null) throw new PortError('SOURCE_REJECTED', `The link ${escaping} points outside the published directory.`)
    const { files, leftOut } = await movePublished(published.directory, site.target)
    say(`Publishing ${published.name}: ${files} files.`)
    if (leftOut.length > 0) say(`Omitted files that are never published: ${shortList(leftOut)}.`)
    const draft: Draft = { ...request.draft, kind: 'static', workingDirectory: '' }
    const measured = measure(site.target, draft, releaseBytes, say)
    const sizeBytes = measured.sizeBytes + encodeTree(site.target, site.encoded, say)
    return { tree: site.target, encoded: site.encoded, manifest: { ...draft, ...measured, sizeBytes } }
  },

  remove: (path: string): Promise<void> => removeTree(path),

  /** The first socket, pipe or device in a directory, or null. Makes its directories accessible to their owner. */
  specialFile: (root: string): string | null => findSpecialFile(root),

  /** Total size of the files in a directory. Files that are deleted in the meantime are not counted. */
  sizeOf(root: string): number {
    let sizeBytes = 0
    try {
      for (const entry of walk(root)) sizeBytes += entry.sizeBytes
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error
    }
    return sizeBytes
  },
}

export type TreeWork = typeof treeWork

const shown = 10

function shortList(names: string[]): string {
  const rest = names.length - shown
  return names.slice(0, shown).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
}

/**
 * Without a sandbox a release runs at another path than it was built at, and the scripts of a virtual environment name their
 * interpreter by its path. The environment's `bin` is first in PATH, so the name alone finds it.
 */
async function makeVenvRelocatable(tree: string, workingDirectory: string, app: string): Promise<void> {
  const bin = join(app, workingDirectory, '.venv/bin')
  const onHost = await directoryInside(tree, join(workingDirectory, '.venv/bin'))
  if (onHost === null) return
  for (const entry of walk(onHost)) {
    if (entry.type !== 'file' || entry.sizeBytes > 1 << 20) continue
    const text = readFileSync(entry.absolute, 'latin1')
    const header = interpreterLine.exec(text)
    if (!header?.groups?.interpreter?.startsWith(`${bin}/python`)) continue
    writeFileSync(entry.absolute, `#!/usr/bin/env python3\n${text.slice(header[0].length)}`, 'latin1')
  }
}

/**
 * The first lines of a script that pip writes. If the interpreter's path contains a space or is too long for a `#!` line, they start
 * the interpreter through the shell.
 */
const interpreterLine =
  /^#!(?:(?<interpreter>\/(?!bin\/sh\n)[^\n]*)\n|\/bin\/sh\n'''exec' "?(?<interpreter>[^\n"]+?)"? "\$0" "\$@"\n' '''\n)/

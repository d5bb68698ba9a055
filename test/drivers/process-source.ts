/** Sources for builds. Does not import vitest, so that a child process can use it too. */
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SourceWriter } from '../../src/domain/deploys/instance/ports.ts'

const apps = join(import.meta.dirname, '../support/apps')

export function fileSource(files: Record<string, string>, mode = 0o644): SourceWriter {
  return async (directory) => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(directory, path)), { recursive: true })
      await writeFile(join(directory, path), text, { mode })
    }
  }
}

/** Writes the tree of a sample app, with files added or replaced. */
export function appSource(name: string, files: Record<string, string> = {}): SourceWriter {
  return async (directory, io) => {
    await cp(join(apps, name), directory, { recursive: true })
    await fileSource(files)(directory, io)
  }
}

/** The Node version that a project requires: from `.node-version`, `.nvmrc`, or `engines.node` of package.json. */
import { dirname, join } from 'node:path'
import semver from 'semver'
import { PortError } from '../../platform/errors.ts'
import { isRecord, readSmall } from './manifest.ts'
import type { ToolRequirement } from './tool.ts'

/** Names of release lines, as nvm knows them. */
const lines: Record<string, string> = {
  ...{ argon: '4', boron: '6', carbon: '8', dubnium: '10', erbium: '12', fermium: '14', gallium: '16', hydrogen: '18', iron: '20' },
  ...{ jod: '22', krypton: '24' },
}
const newestLine = '24'

/** Null if none is specified. The files are also looked for in parent directories, up to the root of the tree. Throws PortError. */
export async function requiredNode(
  tree: string,
  directory: string,
  manifest: Record<string, unknown> | null,
): Promise<ToolRequirement | null> {
  for (let place = directory; ; place = dirname(place)) {
    for (const file of ['.node-version', '.nvmrc']) {
      const text = await readSmall(join(place, file))
      const version = text
        ?.split('\n')
        .map((line) => line.replace(/#.*/, '').trim())
        .find((line) => line !== '')
      if (version) return { name: 'node', range: rangeOf(version, file), from: file }
    }
    if (place === tree || place === dirname(place)) break
  }
  const engine = isRecord(manifest?.engines) ? manifest.engines.node : undefined
  if (typeof engine !== 'string' || engine.trim() === '') return null
  return { name: 'node', range: rangeOf(engine.trim(), 'engines.node'), from: 'engines.node' }
}

function rangeOf(text: string, from: string): string {
  const line = /^lts\/(.+)$/i.exec(text)?.[1]?.toLowerCase()
  const named = line === '*' ? newestLine : line !== undefined ? lines[line] : /^(node|stable|latest|current)$/i.test(text) ? '*' : text
  if (named !== undefined && semver.validRange(named) !== null) return named
  throw new PortError('BUILD_NOT_DETECTED', `${from} is ${JSON.stringify(text)}, which is not a version of Node.`, {
    hint: 'Use a version or a range, such as 22, 22.11.0 or >=20.',
  })
}

/** The files of the pages, read once. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'

export type Asset = { type: string; content: Buffer }

export type Site = {
  /** By folder and name, such as `shared/api.js`. */
  assets: ReadonlyMap<string, Asset>
  /**
   * That of all assets, which is in their addresses: modules find each other by relative paths, and a browser may cache them forever and never
   * mixes two versions.
   */
  hash: string
  /** The document of a page, by its folder, with values in place of `{{name}}`. */
  document(folder: string, values: Readonly<Record<string, string>>): string
}

const types: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
}

/** Folder of what all pages use. */
const shared = 'shared'

/** What comes from packages. */
const vendored: Record<string, string> = {
  'vendor/qrcode.js': join(packageFolder('qrcode-generator'), 'qrcode.mjs'),
  'vendor/uplot.js': join(packageFolder('uplot'), 'uPlot.esm.js'),
  'vendor/uplot.css': join(packageFolder('uplot'), 'uPlot.min.css'),
  'vendor/uplot-license.txt': join(packageFolder('uplot'), '../LICENSE'),
}

function packageFolder(name: string): string {
  return dirname(createRequire(import.meta.url).resolve(name))
}

export async function readSite(folders: readonly string[]): Promise<Site> {
  const named = await Promise.all([shared, ...folders].map(assetNames))
  const names = named.flat()
  const files = new Map(names.map((name) => [name, join(import.meta.dirname, name)]))
  for (const [name, path] of Object.entries(vendored)) files.set(name, path)
  const assets = new Map<string, Asset>()
  const digest = createHash('sha256')
  for (const [name, path] of files) {
    const content = await readFile(path)
    assets.set(name, { type: types[extname(name)]!, content })
    digest.update(`${name}:${content.length}:`).update(content)
  }
  const hash = digest.digest('base64url').slice(0, 16)
  const base = `/page/${hash}`
  const sources = new Map<string, string>()
  for (const folder of folders) sources.set(folder, await readFile(join(import.meta.dirname, folder, 'index.html'), 'utf8'))
  /** The modules that main.js of a page imports, so that they load at once. */
  const preloads = (folder: string) =>
    names
      .filter(
        (name) => (name.startsWith(`${shared}/`) || name.startsWith(`${folder}/`)) && name.endsWith('.js') && !name.endsWith('/main.js'),
      )
      .map((name) => `<link rel="modulepreload" href="${base}/${name}">`)
      .join('\n')
  return {
    assets,
    hash,
    document(folder, values) {
      const markup: Record<string, string> = { assets: base, preloads: preloads(folder) }
      return sources.get(folder)!.replace(/\{\{(\w+)\}\}/g, (_mark, name: string) => markup[name] ?? escaped(values[name]!))
    },
  }
}

const assetNames = async (folder: string): Promise<string[]> =>
  (await readdir(join(import.meta.dirname, folder)))
    .filter((name) => extname(name) in types)
    .sort()
    .map((name) => `${folder}/${name}`)

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => entities[sign]!)

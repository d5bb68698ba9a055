/** Writing files atomically. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWhole, writeWhole } from '../../src/platform/whole-file.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'whole-'))
  path = join(directory, 'file')
})
afterEach(() => rm(directory, { recursive: true }))

describe.each([true, false])('durable: %s', (durable) => {
  it('writes a file for its owner alone and leaves no draft', async () => {
    await writeWhole(path, 'text', { durable })
    expect(await readFile(path, 'utf8')).toBe('text')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('replaces a file, which readers meanwhile see whole', async () => {
    const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(100_000))
    await writeWhole(path, texts[0]!, { durable })
    let done = false
    const seen: string[] = []
    const reading = (async () => {
      while (!done) seen.push(await readFile(path, 'utf8'))
    })()
    await Promise.all(texts.map((text) => writeWhole(path, text, { durable })))
    done = true
    await reading
    expect(seen.filter((text) => !texts.includes(text))).toEqual([])
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('creates a file once: of several writers one wins, and the others leave its file', async () => {
    const letters = ['a', 'b', 'c', 'd']
    const created = await Promise.all(letters.map((letter) => createWhole(path, letter, { durable })))
    expect(created.filter(Boolean)).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(letters[created.indexOf(true)])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['file'])
  })

  it('fails without a trace where the file cannot be written', async () => {
    await writeFile(path, 'not a directory')
    await expect(writeWhole(join(path, 'below'), 'text', { durable })).rejects.toThrow('ENOTDIR')
    expect(await readFile(path, 'utf8')).toBe('not a directory')
  })
})

it('writes the draft where it is told to, over what a killed process left there', async () => {
  const draft = join(directory, 'draft')
  await writeFile(draft, 'x'.repeat(1_000))
  await writeWhole(path, 'text', { draft })
  expect(await readFile(path, 'utf8')).toBe('text')
  expect(await readdir(directory)).toEqual(['file'])
})

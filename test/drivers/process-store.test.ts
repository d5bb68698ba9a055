/** Storing releases: digests are stable, and a large tree does not block the event loop. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { SourceWriter, StepIo } from '../../src/domain/deploys/instance/ports.ts'
import { findEscapingLink } from '../../src/drivers/process/tree.ts'
import { buildRequest, fileSource, openRuntime, quiet, recording } from './process-support.ts'

it('the digest of a tree is stable across versions', async () => {
  const { runtime } = await openRuntime({ sandbox: 'none' })
  const source: SourceWriter = async (directory, io) => {
    const files = {
      'a.txt': 'a',
      'B.txt': 'b',
      'sub/ä.txt': 'ae',
      'sub/\u{1f600}.txt': 'smile',
      'sub/\uff5e.txt': 'wide',
      'run.sh': '#!/bin/sh\n',
    }
    await fileSource(files)(directory, io)
    await writeFile(join(directory, 'large'), Buffer.alloc(3_000_000, 'x'))
    await chmod(join(directory, 'run.sh'), 0o755)
    await symlink('a.txt', join(directory, 'link'))
  }
  const release = await runtime.build(buildRequest(source, { deploymentId: 'dep-1', startCommand: 'true' }), quiet())
  expect(release.digest).toBe('sha256:355c1c37ec5b815d51a17ed83a72d5a20b12979a7cb536c984debf0ead766675')
  expect(release.sizeBytes).toBe(3_000_023)
})

it('storing a large tree logs its progress and runs in its own thread', async () => {
  const { runtime } = await openRuntime({ sandbox: 'none' })
  const files = 25_000
  const buildCommand = `node -e "const fs = require('fs'); for (let i = 0; i < ${files}; i++) { if (i % 500 === 0) fs.mkdirSync('d' + i / 500); fs.writeFileSync('d' + Math.floor(i / 500) + '/' + i, 'x'.repeat(i % 977)) }"`
  const io = recording()
  const spent: { here: number; all: number }[] = []
  const output: StepIo['output'] = (stream, bytes) => {
    io.output(stream, bytes)
    if (stream !== 'system' || !/^Stor(ing|ed 20000) /.test(Buffer.from(bytes).toString())) return
    const [here, all] = [process.threadCpuUsage(), process.cpuUsage()]
    spent.push({ here: here.user + here.system, all: all.user + all.system })
  }
  await runtime.build(buildRequest(fileSource({}), { startCommand: 'true', buildCommand }), { ...io, output })
  expect(io.text()).toMatch(/Storing 25000 files, \d+ KiB\.\nStored 10000 of 25000 files\.\nStored 20000 of 25000 files\.\n/)
  const [began, ended] = spent
  expect(ended!.here - began!.here).toBeLessThan((ended!.all - began!.all) / 2)
})

it('storing can be aborted', async () => {
  const { runtime, dataDir } = await openRuntime({ sandbox: 'none' })
  const abort = new AbortController()
  const io = {
    ...quiet(abort.signal),
    output: (stream: string, bytes: Uint8Array) => {
      if (stream === 'system' && Buffer.from(bytes).toString().startsWith('Storing')) abort.abort(new Error('cancelled'))
    },
  }
  await expect(runtime.build(buildRequest(fileSource({ a: 'a' }), { startCommand: 'true' }), io)).rejects.toThrow('cancelled')
  expect(findEscapingLink(dataDir)).toBeNull()
})

it('links are judged by their target, whatever their name', async () => {
  const root = await mkdtemp(join(tmpdir(), 'quayside-tree-'))
  await mkdir(join(root, 'tree/sub'), { recursive: true })
  await symlink('../sub', join(root, 'tree/sub/inside'))
  expect(findEscapingLink(join(root, 'tree'))).toBeNull()
  await symlink('../../tree-beside', join(root, 'tree/sub/out'))
  expect(findEscapingLink(join(root, 'tree'))).toBe('sub/out')
  await rm(root, { recursive: true })
})

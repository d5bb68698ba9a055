/**
 * Stores backups as objects in a bucket of any storage with the S3 API. Their names contain bucket and key, so that a backup is found after
 * the settings were changed. Names without a bucket are those of the backups that were stored before a bucket was set.
 */
import type { ListMultipartUploadsCommand, ListMultipartUploadsCommandInput, ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3'
import type { BackupStore } from '../../domain/resources/backup/ports.ts'
import { type BucketOptions, createRequests, loadSdk } from './client.ts'
import { download } from './download.ts'
import { type ObjectPlace, upload } from './upload.ts'

export type BackupS3Options = BucketOptions & {
  /** Has the backups that are in no bucket. */
  others: BackupStore
}

export function createBackupS3({ others, ...options }: BackupS3Options): BackupStore {
  const { bucket, prefix, stallMs } = options
  const requests = createRequests(options)
  const { send } = requests
  const start = prefix.endsWith('/') ? prefix : `${prefix}/`

  return {
    nameOf: (path) => nameOf({ Bucket: bucket, Key: start + path }),
    async put(name, content, signal) {
      const place = placeOf(name)
      await (place ? upload(requests, place, content, signal) : others.put(name, content, signal))
    },
    async get(name) {
      const place = placeOf(name)
      return place ? download(requests, place, stallMs) : others.get(name)
    },
    async remove(name) {
      const place = placeOf(name)
      if (!place) return others.remove(name)
      const sdk = await loadSdk()
      await abortUploads({ Bucket: place.Bucket, Prefix: place.Key }, ({ Key }) => Key === place.Key)
      await send((client, abortSignal) => client.send(new sdk.DeleteObjectCommand(place), { abortSignal }))
    },
    async sweep(inUse, ageMs) {
      await others.sweep(inUse, ageMs)
      const isLeft = (upload: Upload) => Date.now() - upload.begunAt.getTime() > ageMs && !inUse.includes(nameOf(upload))
      await abortUploads({ Bucket: bucket, Prefix: start }, isLeft)
    },
  }

  async function abortUploads(among: { Bucket: string; Prefix: string }, isLeft: (upload: Upload) => boolean): Promise<void> {
    const sdk = await loadSdk()
    let markers: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> | null = {}
    while (markers !== null) {
      const list: ListMultipartUploadsCommand = new sdk.ListMultipartUploadsCommand({ ...among, ...markers })
      const page: ListMultipartUploadsCommandOutput = await send((client, abortSignal) => client.send(list, { abortSignal }))
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        const upload = { Bucket: among.Bucket, Key: Key!, begunAt: Initiated ?? new Date() }
        if (!isLeft(upload)) continue
        const abort = new sdk.AbortMultipartUploadCommand({ Bucket: upload.Bucket, Key: upload.Key, UploadId })
        await send((client, abortSignal) => client.send(abort, { abortSignal })).catch(unlessGone)
      }
      markers = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : null
    }
  }
}

type Upload = ObjectPlace & { begunAt: Date }

const nameOf = ({ Bucket, Key }: ObjectPlace): string => `s3://${Bucket}/${Key}`

function placeOf(name: string): ObjectPlace | null {
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.+)$/.exec(name) ?? []
  return Bucket && Key ? { Bucket, Key } : null
}

/** It was completed or aborted meanwhile. */
function unlessGone(error: unknown): void {
  if (((error as Error).cause as Error | undefined)?.name !== 'NoSuchUpload') throw error
}

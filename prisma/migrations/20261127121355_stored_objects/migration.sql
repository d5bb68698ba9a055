-- CreateTable
CREATE TABLE "stored_object" (
    "bucket_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "content_id" UUID NOT NULL,
    "size_bytes" DOUBLE PRECISION NOT NULL,
    "etag" TEXT NOT NULL,
    "checksum_algorithm" TEXT,
    "checksum_type" TEXT,
    "checksum" TEXT,
    "headers" JSON NOT NULL DEFAULT '{}',
    "metadata" JSON NOT NULL DEFAULT '{}',
    "last_modified" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "stored_object_pkey" PRIMARY KEY ("bucket_id","key")
);

-- CreateTable
CREATE TABLE "object_blob" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "bucket_id" UUID NOT NULL,
    "content_id" UUID NOT NULL,
    "position" INTEGER NOT NULL DEFAULT 0,
    "size_bytes" DOUBLE PRECISION NOT NULL,
    "name" TEXT NOT NULL,
    "removable_at" TIMESTAMPTZ(3),

    CONSTRAINT "object_blob_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "multipart_upload" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "bucket_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "checksum_algorithm" TEXT,
    "checksum_type" TEXT,
    "headers" JSON NOT NULL DEFAULT '{}',
    "metadata" JSON NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "multipart_upload_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "multipart_part" (
    "upload_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "content_id" UUID NOT NULL,
    "size_bytes" DOUBLE PRECISION NOT NULL,
    "etag" TEXT NOT NULL,
    "checksum" TEXT,
    "last_modified" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "multipart_part_pkey" PRIMARY KEY ("upload_id","number")
);

-- CreateIndex
CREATE INDEX "stored_object_content_id_idx" ON "stored_object"("content_id");

-- CreateIndex
CREATE INDEX "object_blob_removable_idx" ON "object_blob"("removable_at") WHERE (removable_at is not null);

-- CreateIndex
CREATE UNIQUE INDEX "object_blob_content_id_position_key" ON "object_blob"("content_id", "position");

-- CreateIndex
CREATE INDEX "multipart_upload_bucket_id_key_id_idx" ON "multipart_upload"("bucket_id", "key", "id");

-- CreateIndex
CREATE INDEX "multipart_upload_created_at_idx" ON "multipart_upload"("created_at");

-- AddForeignKey
ALTER TABLE "stored_object" ADD CONSTRAINT "stored_object_organization_id_bucket_id_fkey" FOREIGN KEY ("organization_id", "bucket_id") REFERENCES "bucket"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "multipart_upload" ADD CONSTRAINT "multipart_upload_organization_id_bucket_id_fkey" FOREIGN KEY ("organization_id", "bucket_id") REFERENCES "bucket"("organization_id", "id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "multipart_part" ADD CONSTRAINT "multipart_part_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "multipart_upload"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- stored_object_key_order
ALTER TABLE stored_object ALTER COLUMN key TYPE text COLLATE "C";

-- multipart_upload_key_order
ALTER TABLE multipart_upload ALTER COLUMN key TYPE text COLLATE "C";

-- stored_object_checksum_check
ALTER TABLE stored_object ADD CONSTRAINT stored_object_checksum_check CHECK ((checksum IS NULL) = (checksum_algorithm IS NULL) AND (checksum IS NULL) = (checksum_type IS NULL));

-- multipart_part_number_check
ALTER TABLE multipart_part ADD CONSTRAINT multipart_part_number_check CHECK (number BETWEEN 1 AND 10000);

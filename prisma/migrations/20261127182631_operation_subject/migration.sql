-- AlterTable
ALTER TABLE "operation" ADD COLUMN     "current_step" TEXT,
ADD COLUMN     "subject_id" UUID;

-- CreateIndex
CREATE INDEX "operation_subject_id_id_idx" ON "operation"("subject_id", "id");

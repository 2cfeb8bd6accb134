-- How good an image must be. Lists of before get what new ones have where nothing is said. A row that failed its checksum before fails it after.
ALTER TABLE watchlist ADD COLUMN gates TEXT NOT NULL DEFAULT '{"lookup":{"inter_eye_distance":9,"head_pose_yaw":50,"head_pose_pitch":50,"sharpness":10,"under_exposure_prevention":10,"over_exposure_prevention":3,"illumination_uniformity":20,"detection_score":70},"enrolment":{"inter_eye_distance":22,"head_pose_yaw":75,"head_pose_pitch":75,"sharpness":20,"under_exposure_prevention":40,"over_exposure_prevention":6,"illumination_uniformity":40,"single_face_present":50,"detection_score":80}}';
UPDATE watchlist SET checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold, retention_days,
    review_days, created_at, grading, instructions, prior_authorisation, gates)
    WHERE checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold, retention_days,
    review_days, created_at, grading, instructions, prior_authorisation);
